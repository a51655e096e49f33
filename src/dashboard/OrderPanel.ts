import type { OrderJson } from "./ApiJson.ts"
import { act, messageOf, RequestFailed, readOrder } from "./Client.ts"
import { byId, isBusy, make, setBusy, setText, statusBadge } from "./Dom.ts"
import { amount, between, count, fullTime, moment } from "./Format.ts"
import { notify } from "./Notices.ts"
import { closeOrder, hashOf, isId, notAnId, onView } from "./View.ts"

const rereadMillis = 300
const itemsShown = 60

const dialog = byId("panel", HTMLDialogElement)
const heading = byId("panel-heading", HTMLElement)
const message = byId("panel-message", HTMLElement)
const body = byId("panel-body", HTMLElement)
const story = byId("panel-story", HTMLElement)
const errorBox = byId("panel-error", HTMLElement)
const user = byId("panel-user", HTMLAnchorElement)
const retryButton = byId("panel-retry", HTMLButtonElement)
const cancelButton = byId("panel-cancel", HTMLButtonElement)

const step = (title: string, at: string, how: string) =>
  make(
    "li",
    {},
    make("strong", {}, title),
    make("time", { datetime: at, title: fullTime(at) }, moment(at)),
    ...(how === "" ? [] : [make("span", { class: "note" }, how)])
  )

const storyOf = (order: OrderJson) => {
  const { accepted_at, attempts, finished_at, last_error, next_attempt_at, started_at, status } = order
  const steps = [step("Accepted", accepted_at, "")]
  if (last_error !== null && finished_at === null) {
    steps.push(step(`Attempt ${last_error.attempt} failed`, last_error.at, last_error.code))
  }
  if (started_at !== null) {
    const how = attempts > 1 ? `attempt ${attempts}` : `${between(accepted_at, started_at)} after it was accepted`
    steps.push(step("Started", started_at, how))
  }
  if (finished_at !== null) {
    steps.push(step(status, finished_at, started_at === null ? "" : `after ${between(started_at, finished_at)}`))
  } else if (next_attempt_at !== null) {
    const isDue = Date.parse(next_attempt_at) <= Date.now()
    steps.push(step("Next attempt", next_attempt_at, isDue ? "due, waits for its turn" : "at the earliest"))
  }
  return steps
}

const showJson = (id: string, value: unknown) => {
  const box = byId(id, HTMLElement)
  box.hidden = value === null || value === undefined
  const pre = box.querySelector("pre")
  if (pre !== null) setText(pre, box.hidden ? "" : JSON.stringify(value, undefined, 2))
}

/** The story of one order, over the page. */
export const orderPanel = () => {
  let open: string | undefined
  let reading = false
  let isStale = false
  let shown = ""
  const badge = statusBadge()
  byId("panel-status", HTMLElement).append(badge.element)

  const fill = (order: OrderJson) => {
    setText(message, "")
    body.hidden = false
    const text = JSON.stringify(order)
    if (text === shown) return
    shown = text
    badge.show(order.status)
    story.replaceChildren(...storyOf(order))

    const { item_ids, last_error } = order
    errorBox.hidden = last_error === null
    if (last_error !== null) {
      setText(byId("panel-error-code", HTMLElement), last_error.code)
      setText(byId("panel-error-when", HTMLElement), `attempt ${last_error.attempt}, ${moment(last_error.at)}`)
      setText(byId("panel-error-message", HTMLElement), last_error.message)
    }
    user.href = hashOf({ q: String(order.user_id) })
    setText(user, String(order.user_id))
    setText(byId("panel-total", HTMLElement), amount(Number(order.total_amount), order.currency))
    setText(
      byId("panel-items-count", HTMLElement),
      item_ids.length === 1 ? "1 item" : `${count(item_ids.length)} items`
    )
    const more = item_ids.length > itemsShown ? ` and ${count(item_ids.length - itemsShown)} more` : ""
    setText(byId("panel-items", HTMLElement), `${item_ids.slice(0, itemsShown).join(", ")}${more}`)
    setText(byId("panel-attempts", HTMLElement), count(order.attempts))
    showJson("panel-result", order.result)
    showJson("panel-metadata", order.metadata)

    // Each keeps its place, or the one would come under the pointer that was on its way to the other.
    for (const [button, from] of [
      [retryButton, ["Failed", "Cancelled"]],
      [cancelButton, ["Pending", "Processing"]]
    ] as const) {
      const isUsable = from.some((status) => status === order.status)
      if (!isUsable && button === document.activeElement) heading.focus()
      button.classList.toggle("unusable", !isUsable)
    }
  }

  const read = async () => {
    const id = open
    if (id === undefined) return
    if (!isId(id)) return setText(message, notAnId)
    if (reading) {
      isStale = true
      return
    }
    reading = true
    isStale = false
    try {
      const order = await readOrder(id)
      if (open === id) fill(order)
    } catch (error) {
      if (open === id) {
        setText(message, messageOf(error))
        // It is not there, or no longer.
        if (error instanceof RequestFailed && (error.status === 404 || error.status === 410)) body.hidden = true
      }
    }
    setTimeout(
      () => {
        reading = false
        if (isStale) read()
      },
      open === id ? rereadMillis : 0
    )
    if (open !== id) isStale = true
  }

  const actOn = async (verb: "cancel" | "retry") => {
    const id = open
    if (id === undefined || isBusy(retryButton)) return
    for (const button of [retryButton, cancelButton]) setBusy(button, true)
    try {
      const order = await act(id, verb)
      if (open === id) fill(order)
      notify(verb === "cancel" ? `Order ${id} is cancelled.` : `Order ${id} is retried.`)
    } catch (error) {
      notify(messageOf(error), "failed")
    }
    for (const button of [retryButton, cancelButton]) setBusy(button, false)
    read()
  }

  retryButton.addEventListener("click", () => actOn("retry"))
  cancelButton.addEventListener("click", () => actOn("cancel"))
  byId("panel-copy", HTMLButtonElement).addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(new URL(hashOf({ order: open ?? "" }), location.href).href)
      notify("The link is copied.")
    } catch {
      notify("The browser does not let this page copy. The link is in the address bar.", "failed")
    }
  })
  byId("panel-close", HTMLButtonElement).addEventListener("click", () => dialog.close())
  dialog.addEventListener("click", ({ target }) => {
    if (target === dialog) dialog.close()
  })
  dialog.addEventListener("close", () => {
    if (open === undefined) return
    // The address changes later, and the same order may be opened again before.
    open = undefined
    closeOrder()
  })

  onView(({ order }) => {
    if (order === open) return
    open = order
    if (order === undefined) return dialog.close()
    shown = ""
    body.hidden = true
    setText(message, "Reading…")
    setText(heading, `Order ${order}`)
    if (!dialog.open) dialog.showModal()
    heading.focus()
    read()
  })

  return {
    event: ({ order_id }: { readonly order_id: number | string }) => {
      if (String(order_id) === open) read()
    },
    refresh: read
  }
}
