import { lacks, onAccess } from "./Access.ts"
import type { OrderJson } from "./ApiJson.ts"
import { readOrder } from "./Client.ts"
import { byId, setText } from "./Dom.ts"
import { notify } from "./Notices.ts"
import { orderActions } from "./OrderActions.ts"
import { orderDetails } from "./OrderDetails.ts"
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

  const show = (id: string, order: OrderJson) => {
    if (openId !== id) return
    setText(message, "")
    body.hidden = false
    details.show(order)
    actions.show(order.status)
  }

  const showFault = (id: string, error: unknown) => {
    if (openId !== id) return
    setText(message, messageOf(error))
    if (isMissing(error)) body.hidden = true
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
      show(id, await readOrder(id))
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

  const details = orderDetails()
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
    body.hidden = true
    setText(message, "Reading…")
    setText(heading, ["Order ", new Outside(order)])
    if (!dialog.open) dialog.showModal()
    heading.focus()
    read()
  }
  onView(follow)
  onAccess(follow)

  return {
    event: ({ order_id }: { readonly order_id: number | string }) => {
      if (String(order_id) === openId) read()
    },
    refresh: read
  }
}
