import type { OrderEventJson } from "../api/OrderEvent.ts"
import type { OrderJson } from "./ApiJson.ts"
import { make, setAttribute, setText, statusBadge } from "./Dom.ts"
import { amount, fullTime, time } from "./Format.ts"
import { linkToOrder } from "./View.ts"

/** A row of the list. It changes only what it is given. */
export const makeRow = (id: string) => {
  const link = make("a", { title: id }, id)
  const badge = statusBadge()
  const user = make("td", { class: "wide id" })
  const total = make("td", { class: "wide number id" })
  const attempts = make("td", { class: "number" })
  const accepted = make("time")
  const element = make(
    "tr",
    {},
    make("th", { scope: "row", class: "id" }, link),
    make("td", {}, badge.element),
    user,
    total,
    attempts,
    make("td", { class: "number" }, accepted)
  )
  // The whole row is a target for the pointer; the keyboard has the link in it.
  element.addEventListener("click", ({ target }) => {
    if (!(target instanceof HTMLAnchorElement) && getSelection()?.isCollapsed !== false) location.hash = linkToOrder(id)
  })
  const change = ({ attempts: made, status }: Pick<OrderEventJson, "attempts" | "status">) => {
    badge.show(status)
    setText(attempts, String(made))
  }
  const setWhole = (cell: Element, text: string) => {
    setText(cell, text)
    setAttribute(cell, "title", text)
  }
  return {
    element,
    change,
    /** The link keeps what else is shown. */
    relink: () => setAttribute(link, "href", linkToOrder(id)),
    fill: (order: OrderJson) => {
      change(order)
      setWhole(user, String(order.user_id))
      setWhole(total, amount(Number(order.total_amount), order.currency))
      setText(accepted, time(order.accepted_at))
      setAttribute(accepted, "datetime", order.accepted_at)
      setAttribute(accepted, "title", fullTime(order.accepted_at))
    }
  }
}
