import type * as SqlClient from "@effect/sql/SqlClient"
import { Array as Arr, Effect, Schema } from "effect"
import { inTurn } from "../../NextTurn.ts"
import { OrderId } from "../../order/Order.ts"

/** The most frequent codes are shown, and so many of them are looked up in one statement. */
const shownCodes = 100
const codesAtOnce = 20

const Details = Schema.Array(
  Schema.Struct({
    error_code: Schema.String,
    count: Schema.Int,
    first_at: Schema.NullOr(Schema.DateTimeUtcFromNumber),
    last_at: Schema.NullOr(Schema.DateTimeUtcFromNumber),
    order_ids: Schema.parseJson(Schema.Array(OrderId))
  })
)

/** The Failed orders by error code: how many is kept by triggers, the rest is looked up for the codes that are shown. */
export const failureGroups = (sql: SqlClient.SqlClient) => {
  const ofCode = sql.literal(`status = 'Failed' AND orders.error_code = code.value ->> 'error_code'`)

  const details = (codes: ReadonlyArray<{ readonly error_code: string; readonly count: number }>) =>
    Effect.flatMap(
      sql`
        SELECT
          value ->> 'error_code' AS error_code, value ->> 'count' AS count,
          (
            SELECT finished_at FROM orders INDEXED BY orders_failed_at WHERE ${ofCode} ORDER BY finished_at LIMIT 1
          ) AS first_at,
          (
            SELECT finished_at FROM orders INDEXED BY orders_failed_at WHERE ${ofCode} ORDER BY finished_at DESC LIMIT 1
          ) AS last_at,
          (
            SELECT json_group_array(order_id)
            FROM (SELECT order_id FROM orders INDEXED BY orders_failed WHERE ${ofCode} ORDER BY seq DESC LIMIT 5)
          ) AS order_ids
        FROM json_each(${JSON.stringify(codes)}) AS code
        ORDER BY key`,
      Schema.decodeUnknown(Details)
    )

  return Effect.gen(function* () {
    const codes = yield* sql<{ error_code: string; count: number; all_orders: number; all_codes: number }>`
      SELECT
        error_code, count, (SELECT failed FROM totals) AS all_orders, (SELECT failure_codes FROM totals) AS all_codes
      FROM failures
      ORDER BY count DESC, error_code
      LIMIT ${shownCodes}`
    const found = yield* Effect.forEach(Arr.chunksOf(codes, codesAtOnce), (some) => inTurn(details(some)))
    const failures = found.flat().flatMap(({ first_at, last_at, ...group }) =>
      // None of it is left meanwhile.
      first_at === null || last_at === null ? [] : [{ ...group, first_at, last_at }]
    )
    const shown = failures.reduce((sum, { count }) => sum + count, 0)
    const [first] = codes
    const other = { count: (first?.all_orders ?? 0) - shown, groups: (first?.all_codes ?? 0) - failures.length }
    return { failures, other }
  })
}
