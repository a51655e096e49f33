import type * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"
import type { Status } from "../../order/Order.ts"
import type { RowKey } from "../../order/OrderChange.ts"
import { type Lane, suspectLosses } from "../Command.ts"
import { decodeOrderRow } from "../OrderRow.ts"

/** Parts that statements share. */
export const makeFragments = (sql: SqlClient.SqlClient) => {
  const by = (index: string) => sql.literal(`orders INDEXED BY ${index}`)
  return {
    /** What an order is made of. */
    orderColumns: sql.literal(`
      order_id, status, user_id, item_ids, total_amount, currency, metadata, attempts, accepted_at, started_at,
      finished_at, CASE WHEN status = 'Pending' AND (wait > 0 OR round > 1) THEN due_at END AS next_attempt_at,
      last_error, result`),
    /** Spelled out, not bound, so that SQLite sees that the partial index of that status fits. */
    statusIs: (status: Status) => sql.literal(`status = '${status}'`),
    /** The orders by that index. */
    by,
    /** Each lane by its index, which SQLite would pass over for the one of all statuses, and then sort. */
    lane: (lane: Lane) =>
      lane === "open"
        ? { front: by("orders_pending"), isIn: sql.literal(`losses < ${suspectLosses}`) }
        : { front: by("orders_suspect"), isIn: sql.literal(`losses >= ${suspectLosses}`) },
    /** The values of a list, as one parameter of one statement, however many they are. */
    anyOf: (values: ReadonlyArray<string | number>) => sql`(SELECT value FROM json_each(${JSON.stringify(values)}))`
  }
}

export type Fragments = ReturnType<typeof makeFragments>

/** The order of a row, with the row's key. */
export const keyedOrder = (row: { readonly seq: RowKey }) =>
  Effect.map(decodeOrderRow(row), (order) => ({ key: row.seq, order }))
