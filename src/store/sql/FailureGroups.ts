import { Array as Arr, Effect, Schema } from "effect"
import { inTurn } from "../../NextTurn.ts"
import { OrderId } from "../../order/Order.ts"
import type { Fragments } from "./Fragments.ts"

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

const codeColumns = { place: "integer", shown_code: "name", shown_count: "integer" } as const

/** The Failed orders by error code: how many is kept by triggers, the rest is looked up for the codes that are shown. */
export const failureGroups = ({ idList, partial, rows, slice, sql }: Fragments) => {
  const { from, isIn } = partial("orders_failed_at")
  const ofCode = sql`${isIn} AND error_code = shown_code`
  const newest = slice({
    index: "orders_failed",
    partial: "Failed",
    values: { error_code: sql.literal("shown_code") },
    range: { low: 1, high: Number.MAX_SAFE_INTEGER },
    direction: "down"
  })

  const details = (codes: ReadonlyArray<{ readonly error_code: string; readonly count: number }>) => {
    const shown = codes.map(({ count, error_code }, place) => ({ place, shown_code: error_code, shown_count: count }))
    return Effect.flatMap(
      sql`
        SELECT
          shown_code AS error_code, shown_count AS count,
          (
            SELECT finished_at FROM ${from} WHERE ${ofCode} ORDER BY finished_at LIMIT 1
          ) AS first_at,
          (
            SELECT finished_at FROM ${from} WHERE ${ofCode} ORDER BY finished_at DESC LIMIT 1
          ) AS last_at,
          ${idList(sql`SELECT order_id FROM ${newest.from} WHERE ${newest.isIn} ${newest.order}`, 5)} AS order_ids
        FROM ${rows(shown, codeColumns)} AS shown
        ORDER BY place`,
      Schema.decodeUnknown(Details)
    )
  }

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
