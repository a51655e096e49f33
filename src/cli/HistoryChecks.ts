import { Effect } from "effect"
import { error, notByUs, ok } from "./Check.ts"
import { findings, numberOf, type Tables } from "./TableQueries.ts"

/** What must find no row, by name. Each has the id of an order, or what stands for it. */
const queries = (low: number) => ({
  // The last change of each order that has any is found by an index alone, and so quick.
  "orders that differ from their last change": `
    SELECT order_id
    FROM (SELECT seq, max(id) AS id FROM changes WHERE seq > ${low} GROUP BY seq) AS last_change_of
      JOIN changes ON changes.id = last_change_of.id JOIN orders ON orders.seq = last_change_of.seq
    WHERE status <> to_status OR orders.run <> changes.run OR attempts <> attempt`,
  "changes of no order": `
    SELECT id FROM changes LEFT JOIN orders ON orders.seq = changes.seq
    WHERE changes.seq > ${low} AND orders.seq IS NULL`,
  "changes with ids that are still to come": "SELECT changes.id FROM totals, changes WHERE changes.id > last_change",
  "changes that are kept only later": "SELECT history_from FROM totals WHERE history_from > last_change + 1"
})

/** The history against the orders. Those from before it was kept have no changes. */
export const checkHistory = Effect.fnUntraced(function* <E>(tables: Tables<E>, low: number) {
  const wrong = yield* findings(tables, queries(low))
  const changes = yield* numberOf(tables, `SELECT count(*) FROM changes WHERE seq > ${low}`)
  return wrong.length === 0
    ? ok("history", `${changes === 1 ? "1 change" : `${changes} changes`}, the last of each order as the order is`)
    : error("history", wrong.join("; "), notByUs)
})
