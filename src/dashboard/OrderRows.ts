import type { OrderEventJson } from "../api/OrderEvent.ts"
import type { OrderJson } from "./ApiJson.ts"
import { makeRow } from "./OrderRow.ts"

/** The rows of the list, by the id of their orders. The row of an order that stays shown stays the same element. */
export const orderRows = (body: HTMLTableSectionElement, isReading: () => boolean) => {
  const rows = new Map<string, ReturnType<typeof makeRow>>()
  /** The newest change of each order, until it is shown. */
  const changes = new Map<string, OrderEventJson>()
  let isScheduled = false

  const removeOthers = (kept: ReadonlySet<string>) => {
    for (const [id, row] of rows) {
      if (kept.has(id)) continue
      row.element.remove()
      rows.delete(id)
    }
  }

  /** What is being read may be older than the changes: they are shown again when it is. */
  const showChanges = () => {
    isScheduled = false
    for (const [id, event] of changes) rows.get(id)?.change(event)
    if (!isReading()) changes.clear()
  }

  return {
    isEmpty: () => rows.size === 0,
    place: (orders: ReadonlyArray<OrderJson>) => {
      removeOthers(new Set(orders.map(({ order_id }) => String(order_id))))
      let before = body.firstElementChild
      for (const order of orders) {
        const id = String(order.order_id)
        const row = rows.get(id) ?? makeRow(id)
        rows.set(id, row)
        row.fill(order)
        row.relink()
        if (row.element === before) before = before.nextElementSibling
        else body.insertBefore(row.element, before)
      }
    },
    clear: () => {
      changes.clear()
      removeOthers(new Set())
    },
    /** The links keep what else is shown. */
    relink: () => {
      for (const row of rows.values()) row.relink()
    },
    /** Takes a change, which is shown in the next frame, or by `showChanges` while the list is paused. */
    change: (event: OrderEventJson, isPaused: boolean) => {
      const id = String(event.order_id)
      if (!isReading() && !rows.has(id)) return
      changes.set(id, event)
      if (isPaused || isScheduled) return
      isScheduled = true
      requestAnimationFrame(showChanges)
    },
    showChanges
  }
}
