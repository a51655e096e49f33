import { visibleJson } from "../order/VisibleText.ts"
import type { OrderJson } from "./ApiJson.ts"
import { byId, setLines, setText, statusBadge } from "./Dom.ts"
import { amount, count, moment } from "./Format.ts"
import { partsOfJson } from "./Text.ts"
import { hashOf } from "./View.ts"

const itemsShown = 60

const errorBox = byId("panel-error", HTMLElement)
const errorCode = byId("panel-error-code", HTMLElement)
const errorWhen = byId("panel-error-when", HTMLElement)
const errorMessage = byId("panel-error-message", HTMLElement)
const user = byId("panel-user", HTMLAnchorElement)
const total = byId("panel-total", HTMLElement)
const itemsCount = byId("panel-items-count", HTMLElement)
const items = byId("panel-items", HTMLElement)
const attempts = byId("panel-attempts", HTMLElement)
const result = byId("panel-result", HTMLElement)
const metadata = byId("panel-metadata", HTMLElement)

const showError = (error: OrderJson["last_error"]) => {
  errorBox.hidden = error === null
  if (error === null) return
  setText(errorCode, error.code)
  setText(errorWhen, `attempt ${error.attempt}, ${moment(error.at)}`)
  setLines(errorMessage, error.message)
}

const showItems = (ids: OrderJson["item_ids"]) => {
  setText(itemsCount, ids.length === 1 ? "1 item" : `${count(ids.length)} items`)
  const more = ids.length > itemsShown ? ` and ${count(ids.length - itemsShown)} more` : ""
  setText(items, `${ids.slice(0, itemsShown).join(", ")}${more}`)
}

const showJson = (box: HTMLElement, value: unknown) => {
  box.hidden = value === null || value === undefined
  const pre = box.querySelector("pre")
  if (pre !== null) setLines(pre, box.hidden ? "" : partsOfJson(visibleJson(JSON.stringify(value, undefined, 2))))
}

/** What the panel shows of an order. It touches the document only where the order is another one. */
export const orderDetails = () => {
  const badge = statusBadge()
  byId("panel-status", HTMLElement).append(badge.element)
  let shown = ""
  return {
    clear: () => {
      shown = ""
    },
    show: (order: OrderJson) => {
      const text = JSON.stringify(order)
      if (text === shown) return
      shown = text
      badge.show(order.status)
      showError(order.last_error)
      user.href = hashOf({ q: String(order.user_id) })
      setText(user, String(order.user_id))
      setText(total, amount(Number(order.total_amount), order.currency))
      showItems(order.item_ids)
      setText(attempts, count(order.attempts))
      showJson(result, order.result)
      showJson(metadata, order.metadata)
    }
  }
}
