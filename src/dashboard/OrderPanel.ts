import type { OrderEventJson } from "../api/OrderEvent.ts"
import { lacks, onAccess } from "./Access.ts"
import type { OrderJson } from "./ApiJson.ts"
import { readHistory, readOrder } from "./Client.ts"
import { byId, setText } from "./Dom.ts"
import { notify } from "./Notices.ts"
import { orderActions } from "./OrderActions.ts"
import { orderDetails } from "./OrderDetails.ts"
import { orderStory } from "./OrderStory.ts"
import { messageOf, RequestFailed } from "./Requests.ts"
import { Outside } from "./Text.ts"
import { closeOrder, currentView, hashOf, isId, notAnId, onView } from "./View.ts"

const rereadMillis = 300

const dialog = byId("panel", HTMLDialogElement)
const heading = byId("panel-heading", HTMLElement)
const message = byId("panel-message", HTMLElement)
const body = byId("panel-body", HTMLElement)

const isMissing = (error: unknown) => error instanceof RequestFailed && (error.status === 404 || error.status === 410)

const copyLink = async (order: string) => {
  try {
    await navigator.clipboard.writeText(new URL(hashOf({ order }), location.href).href)
    notify("The link is copied.")
  } catch {
    notify("The browser does not let this page copy. The link is in the address bar.", "failed")
  }
}

/** The story of one order, over the page. */
export const orderPanel = () => {
  let openId: string | undefined
  let isReading = false
  let isStale = false
  /** The story may lack changes behind the one with that id, and they do not come as events. */
  let lackingBehind: number | undefined

  const show = (id: string, order: OrderJson) => {
    if (openId !== id) return
    setText(message, "")
    body.hidden = false
    details.show(order)
    story.show(order)
    actions.show(order.status)
  }

  const showFault = (id: string, error: unknown) => {
    if (openId !== id) return
    setText(message, messageOf(error))
    if (isMissing(error)) body.hidden = true
  }

  const readStory = async (id: string) => {
    if (lackingBehind === undefined) return
    const after = lackingBehind
    lackingBehind = undefined
    try {
      const changes = await readHistory(id, after)
      if (openId === id) story.add(changes)
    } catch (error) {
      if (openId === id) lackingBehind = after
      throw error
    }
  }

  /** Reads the order that is open, or reads it again after the reading under way. */
  const read = async () => {
    const id = openId
    if (id === undefined) return
    if (!isId(id)) return setText(message, notAnId)
    isStale = isReading
    if (isReading) return
    isReading = true
    try {
      const [order] = await Promise.all([readOrder(id), readStory(id)])
      show(id, order)
    } catch (error) {
      showFault(id, error)
    }
    setTimeout(
      () => {
        isReading = false
        if (isStale) read()
      },
      openId === id ? rereadMillis : 0
    )
    if (openId !== id) isStale = true
  }

  const refresh = () => {
    lackingBehind ??= story.last()
    read()
  }

  const details = orderDetails()
  const story = orderStory()
  const actions = orderActions({ openId: () => openId, onOrder: show, onEnd: read })

  byId("panel-copy", HTMLButtonElement).addEventListener("click", () => copyLink(openId ?? ""))
  byId("panel-close", HTMLButtonElement).addEventListener("click", () => dialog.close())
  dialog.addEventListener("click", ({ target }) => {
    if (target === dialog) dialog.close()
  })
  dialog.addEventListener("close", () => {
    if (openId === undefined) return
    // The address changes later, and the same order may be opened again before.
    openId = undefined
    closeOrder()
  })

  const follow = () => {
    const order = lacks("read") ? undefined : currentView().order
    if (order === openId) return
    openId = order
    if (order === undefined) return dialog.close()
    details.clear()
    story.clear()
    lackingBehind = undefined
    body.hidden = true
    setText(message, "Reading…")
    setText(heading, ["Order ", new Outside(order)])
    if (!dialog.open) dialog.showModal()
    heading.focus()
    refresh()
  }
  onView(follow)
  onAccess(follow)

  return {
    event: (change: OrderEventJson) => {
      if (String(change.order_id) !== openId) return
      // Without what came before, it alone would be no story.
      if (story.last() === 0) return refresh()
      story.add([change])
      read()
    },
    /** Reads the order again. Changes are expected as events. */
    read,
    /** Reads it with the changes that have not come. */
    refresh
  }
}
