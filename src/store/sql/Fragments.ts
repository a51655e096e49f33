import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Statement from "@effect/sql/Statement"
import { Effect } from "effect"
import type { Status } from "../../order/Order.ts"
import type { RowKey } from "../../order/OrderChange.ts"
import type { Lane } from "../Command.ts"
import { decodeOrderRow } from "../OrderRow.ts"
import type { Dialect } from "./Dialect.ts"

/** Parts that statements share, in the words of a database. */
export const makeFragments = (sql: SqlClient.SqlClient, dialect: Dialect) => ({
  sql,
  ...dialect,
  /** What an order is made of. */
  orderColumns: sql.literal(`
    order_id, status, user_id, item_ids, total_amount, currency, metadata, attempts, accepted_at, started_at,
    finished_at, CASE WHEN status = 'Pending' AND (wait > 0 OR round > 1) THEN due_at END AS next_attempt_at,
    last_error, result`),
  /** Spelled out, not bound, so that it is seen that the partial index of that status fits. */
  statusIs: (status: Status) => sql.literal(`status = '${status}'`),
  /** The same where the rows are found by their keys: no index of statuses fits it. */
  statusIsStill: (status: Status) => sql`COALESCE(status, '') = ${status}`,
  /** Each lane by its index, which might be passed over for the one of all statuses, and then sorted. */
  lane: (lane: Lane) => dialect.partial(lane === "open" ? "orders_pending" : "orders_suspect"),
  /** The lesser of two numbers; NULL if the first is. */
  lesser: (one: Statement.Fragment, other: Statement.Fragment) =>
    sql`CASE WHEN ${one} > ${other} THEN ${other} ELSE ${one} END`,
  /** The greater of two numbers; NULL if the first is. */
  greater: (one: Statement.Fragment, other: Statement.Fragment) =>
    sql`CASE WHEN ${one} < ${other} THEN ${other} ELSE ${one} END`
})

export type Fragments = ReturnType<typeof makeFragments>

/** The order of a row, with the row's key. */
export const keyedOrder = (row: { readonly seq: RowKey }) =>
  Effect.map(decodeOrderRow(row), (order) => ({ key: row.seq, order }))
