import type * as Statement from "@effect/sql/Statement"
import { type Context, Effect, Option } from "effect"
import type { RowKey } from "../../order/OrderChange.ts"
import { canBeCode, type Filter, type SearchStep } from "../Command.ts"
import type { KeyRange, Statements } from "../Statements.ts"
import { partAt } from "./AcceptanceSpans.ts"
import type { Slice } from "./Dialect.ts"
import type { Fragments } from "./Fragments.ts"

type Database = Context.Tag.Service<Statements>

const size = ({ high, low }: KeyRange) => high - low + 1

/** By which index to look, and what is left to be looked at in each order; none if no order can fit. */
const wayOf = ({ hasStatus, sql }: Fragments, filter: Filter) => {
  const { accepted_after, accepted_before, error_code, user_id } = filter
  if (error_code !== undefined && !canBeCode(error_code)) return Option.none()
  const status = error_code === undefined ? filter.status : "Failed"
  const rest: Array<Statement.Fragment> = []
  if (accepted_after !== undefined) rest.push(sql`accepted_at >= ${accepted_after.epochMillis}`)
  if (accepted_before !== undefined) rest.push(sql`accepted_at < ${accepted_before.epochMillis}`)
  if (filter.status !== undefined && filter.status !== status) return Option.none()
  const way = (by: Pick<Slice, "index" | "partial" | "values">) => Option.some({ by, rest })
  if (user_id !== undefined && (status === "Failed" || status === "Cancelled")) {
    if (error_code !== undefined) rest.push(sql`error_code = ${error_code}`)
    return way({ index: "orders_ended", partial: status, values: { user_id, status } })
  }
  if (error_code !== undefined) return way({ index: "orders_failed", partial: "Failed", values: { error_code } })
  if (user_id !== undefined) {
    if (status !== undefined) rest.push(hasStatus(status))
    return way({ index: "orders_user", values: { user_id } })
  }
  return way(status === undefined ? { index: "", values: {} } : { index: "orders_status", values: { status } })
}

/**
 * Looks through orders by an index and by key, at so many at a time that one statement takes little time: a filter may
 * leave few of millions, and it is not known beforehand where they are.
 */
export const search = (fragments: Fragments): Database["search"] =>
  Effect.fnUntraced(function* (filter, range, direction, limit, look) {
    const { slice, sql } = fragments
    const nothing: SearchStep<RowKey> = { found: [], next: Option.none() }
    const way = wayOf(fragments, filter)
    if (Option.isNone(way) || size(range) < 1) return nothing
    const part = yield* partAt(sql, filter, range, direction)
    if (Option.isNone(part)) return nothing
    const { by, rest } = way.value
    const isDown = direction === "down"

    /** What is looked at, and where what was not looked at begins. */
    let { high, low } = part.value
    if (rest.length > 0 && size(part.value) > look) {
      const { from, isIn, order } = slice({ ...by, range: part.value, direction })
      const [edge] = yield* sql<{ seq: number }>`
        SELECT seq FROM ${from} WHERE ${isIn} ${order} LIMIT 1 OFFSET ${look - 1}`
      if (edge !== undefined && isDown) low = edge.seq
      else if (edge !== undefined) high = edge.seq
    }
    const most = Math.min(limit, look)
    const { from, isIn, order } = slice({ ...by, range: { low, high }, direction })
    const rows = yield* sql<{ seq: RowKey }>`
      SELECT seq FROM ${from} WHERE ${sql.and([isIn, ...rest])} ${order} LIMIT ${most}`
    const keys = rows.map(({ seq }) => seq)
    const last = keys.length === most ? keys.at(-1) : undefined
    const end = last ?? (isDown ? low : high)
    const isLast = isDown ? end <= range.low : end >= range.high
    return { found: keys, next: isLast ? Option.none() : Option.some(end) }
  })
