import * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * - `round` counts how often someone asked for the order, from 1: submitting begins the first, each retry the next.
 * - `traceparent` is the trace (W3C Trace Context) of the request that submitted it.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE orders ADD COLUMN round INTEGER NOT NULL DEFAULT 1`
  yield* sql`ALTER TABLE orders ADD COLUMN traceparent TEXT`
})
