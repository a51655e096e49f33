import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Statement from "@effect/sql/Statement"
import { type Context, Effect, Option } from "effect"
import type { RowKey } from "../../order/OrderChange.ts"
import type { Filter, SearchStep } from "../Command.ts"
import type { KeyRange, Statements } from "../Statements.ts"
import { partAt } from "./AcceptanceSpans.ts"
import type { Fragments } from "./Fragments.ts"

type Database = Context.Tag.Service<Statements>

const size = ({ high, low }: KeyRange) => high - low + 1

/** Where to look, what the index gives, and what is left to be looked at in each order; none if no order can fit. */
const wayOf = (sql: SqlClient.SqlClient, { by, statusIs }: Fragments, filter: Filter) => {
  const { accepted_after, accepted_before, error_code, user_id } = filter
  const status = error_code === undefined ? filter.status : "Failed"
  const rest: Array<Statement.Fragment> = []
  if (accepted_after !== undefined) rest.push(sql`accepted_at >= ${accepted_after.epochMillis}`)
  if (accepted_before !== undefined) rest.push(sql`accepted_at < ${accepted_before.epochMillis}`)
  if (filter.status !== undefined && filter.status !== status) return Option.none()
  if (user_id !== undefined && (status === "Failed" || status === "Cancelled")) {
    if (error_code !== undefined) rest.push(sql`error_code = ${error_code}`)
    return Option.some({ from: by("orders_ended"), given: sql`user_id = ${user_id} AND ${statusIs(status)}`, rest })
  }
  if (error_code !== undefined) {
    const given = sql`${statusIs("Failed")} AND error_code = ${error_code}`
    return Option.some({ from: by("orders_failed"), given, rest })
  }
  if (user_id !== undefined) {
    // Asked of an index, for the rows of a user are spread over the whole table.
    if (status !== undefined) {
      rest.push(sql`EXISTS (
        SELECT 1 FROM orders AS same INDEXED BY orders_status
        WHERE same.${statusIs(status)} AND same.seq = orders.seq
      )`)
    }
    return Option.some({ from: by("orders_user"), given: sql`user_id = ${user_id}`, rest })
  }
  if (status !== undefined) return Option.some({ from: by("orders_status"), given: statusIs(status), rest })
  return Option.some({ from: sql.literal("orders NOT INDEXED"), given: sql.literal("TRUE"), rest })
}

/**
 * Looks through orders by an index and by key, at so many at a time that one statement takes little time: a filter may
 * leave few of millions, and it is not known beforehand where they are.
 */
export const search = (sql: SqlClient.SqlClient, fragments: Fragments): Database["search"] =>
  Effect.fnUntraced(function* (filter, range, direction, limit, look) {
    const nothing: SearchStep<RowKey> = { found: [], next: Option.none() }
    const way = wayOf(sql, fragments, filter)
    if (Option.isNone(way) || size(range) < 1) return nothing
    const part = yield* partAt(sql, filter, range, direction)
    if (Option.isNone(part)) return nothing
    const { from, given, rest } = way.value
    const isDown = direction === "down"
    const order = sql.literal(`ORDER BY seq ${isDown ? "DESC" : "ASC"}`)

    /** What is looked at, and where what was not looked at begins. */
    let { high, low } = part.value
    if (rest.length > 0 && size(part.value) > look) {
      const [edge] = yield* sql<{ seq: number }>`
        SELECT seq FROM ${from}
        WHERE ${given} AND seq BETWEEN ${low} AND ${high}
        ${order}
        LIMIT 1 OFFSET ${look - 1}`
      if (edge !== undefined && isDown) low = edge.seq
      else if (edge !== undefined) high = edge.seq
    }
    const most = Math.min(limit, look)
    const rows = yield* sql<{ seq: RowKey }>`
      SELECT seq FROM ${from}
      WHERE ${sql.and([given, ...rest])} AND seq BETWEEN ${low} AND ${high}
      ${order}
      LIMIT ${most}`
    const keys = rows.map(({ seq }) => seq)
    const last = keys.length === most ? keys.at(-1) : undefined
    const end = last ?? (isDown ? low : high)
    const isLast = isDown ? end <= range.low : end >= range.high
    return { found: keys, next: isLast ? Option.none() : Option.some(end) }
  })
