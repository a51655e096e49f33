import { type Check, ok } from "./Check.ts"
import type { DatabaseReader } from "./DatabaseReader.ts"
import { found, historyVerdict } from "./Verdicts.ts"

const migrationOfHistory = 6

/** The last change of each order that has any. Found by an index alone, and so quick. */
const lastChanges = "(SELECT seq, max(id) AS id FROM changes GROUP BY seq) AS last"

/** What must find no row, by name. Each has the id of an order, or what stands for it. */
const findings = {
  "orders that differ from their last change": `
    SELECT order_id FROM ${lastChanges} CROSS JOIN changes ON changes.id = last.id CROSS JOIN orders ON orders.seq = last.seq
    WHERE status <> to_status OR orders.run <> changes.run OR attempts <> attempt`,
  "changes of no order": "SELECT id FROM changes WHERE seq NOT IN (SELECT seq FROM orders)",
  "changes with ids that are still to come": "SELECT changes.id FROM totals, changes WHERE changes.id > last_change",
  "changes that are kept only later": "SELECT history_from FROM totals WHERE history_from > last_change + 1"
}

/** The history against the orders. Those from before it was kept have no changes. */
export const checkHistory = (reader: DatabaseReader, latest: number): Check => {
  if (latest < migrationOfHistory) return ok("history", "not kept by the version that wrote this")
  const wrong = Object.entries(findings).flatMap(([what, query]) => {
    const count = reader.number(`SELECT count(*) FROM (${query})`)
    return count === 0 ? [] : [found(what, count, reader.db.prepare(`${query} LIMIT 3`).pluck().all())]
  })
  return historyVerdict(wrong, reader.number("SELECT count(*) FROM changes"))
}
