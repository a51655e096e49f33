import * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * - `wait` is for how many milliseconds the order was to wait until `due_at`, which may lie further ahead than that
 *   only if the clock was set back.
 * - `took` is how many milliseconds the run took; none before this migration: then it is `finished_at - started_at`.
 * - `retention_at` is what time retention believed it was when it last looked.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE orders ADD COLUMN wait INTEGER NOT NULL DEFAULT 0`
  yield* sql`ALTER TABLE orders ADD COLUMN took INTEGER`
  yield* sql`ALTER TABLE totals ADD COLUMN retention_at INTEGER`
  yield* sql`
    UPDATE orders
    SET wait = max(0, due_at - COALESCE(CAST(round(unixepoch(last_error ->> 'at', 'subsec') * 1000) AS INTEGER), due_at))
    WHERE status = 'Pending' AND due_at > accepted_at`
  yield* sql`
    CREATE INDEX orders_prunable ON orders (finished_at, seq) WHERE status IN ('Completed', 'Cancelled')`
})
