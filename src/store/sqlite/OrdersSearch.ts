import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Statement from "@effect/sql/Statement"
import { Array as Arr, Effect, Option, Schema } from "effect"
import { inTurn } from "../../NextTurn.ts"
import { OrderId } from "../../order/Order.ts"
import type { RowKey } from "../../order/OrderChange.ts"
import type { Filter, SearchStep } from "../Command.ts"
import { makeFragments } from "./Fragments.ts"

/** Keys from the lowest to the highest, both among them. */
export interface Range {
  readonly low: number
  readonly high: number
}

export type Direction = "ASC" | "DESC"

/** The keys of a block, whose span of times of acceptance is known. */
const blockKeys = 1024
/** Blocks that are looked at in one step. */
const mostBlocks = 64

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

const size = ({ high, low }: Range) => high - low + 1

/**
 * Looks through orders by an index and by key, at so many at a time that one statement takes little time: a filter may
 * leave few of millions, and it is not known beforehand where they are.
 */
export const makeOrdersSearch = (sql: SqlClient.SqlClient) => {
  const { by, statusIs } = makeFragments(sql)

  /** Where to look, what the index gives, and what is left to be looked at in each order; none if no order can fit. */
  const wayOf = (filter: Filter) => {
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

  /** The first block of the range, in that direction, that may have orders accepted then; or the first that has none. */
  const firstBlock = (
    isWithin: boolean,
    { accepted_after, accepted_before }: Filter,
    { high, low }: Range,
    direction: Direction
  ) => {
    const terms: Array<Statement.Fragment> = []
    if (accepted_after !== undefined) terms.push(sql`latest >= ${accepted_after.epochMillis}`)
    if (accepted_before !== undefined) terms.push(sql`earliest < ${accepted_before.epochMillis}`)
    return Effect.map(
      sql<{ block: number }>`
        SELECT block FROM spans
        WHERE block BETWEEN ${low} AND ${high} AND ${sql.literal(isWithin ? "" : "NOT ")}(${sql.and(terms)})
        ORDER BY block ${sql.literal(direction)}
        LIMIT 1`,
      (rows) => Option.map(Arr.head(rows), ({ block }) => block)
    )
  }

  /** The first part of the range, in that direction, whose blocks may all have orders accepted then. */
  const partAt = Effect.fnUntraced(function* (filter: Filter, range: Range, direction: Direction) {
    if (filter.accepted_after === undefined && filter.accepted_before === undefined) return Option.some(range)
    const blocks = { low: Math.floor(range.low / blockKeys), high: Math.floor(range.high / blockKeys) }
    const first = yield* firstBlock(true, filter, blocks, direction)
    if (Option.isNone(first)) return Option.none()
    const near = (from: number, to: number) => ({ low: Math.max(from, blocks.low), high: Math.min(to, blocks.high) })
    const step = direction === "DESC" ? -1 : 1
    const furthest = first.value + step * (mostBlocks - 1)
    const others = direction === "DESC" ? near(furthest, first.value - 1) : near(first.value + 1, furthest)
    const gap = yield* firstBlock(false, filter, others, direction)
    const last = Option.match(gap, { onNone: () => furthest, onSome: (block) => block - step })
    return Option.some({
      low: Math.max(range.low, Math.min(first.value, last) * blockKeys),
      high: Math.min(range.high, (Math.max(first.value, last) + 1) * blockKeys - 1)
    })
  })

  /** The keys of orders of the range that fit, `limit` at most, of so many that are looked at. */
  const search = Effect.fnUntraced(function* (
    filter: Filter,
    range: Range,
    direction: Direction,
    limit: number,
    look: number
  ) {
    const nothing: SearchStep<RowKey> = { found: [], next: Option.none() }
    const way = wayOf(filter)
    if (Option.isNone(way) || size(range) < 1) return nothing
    const part = yield* partAt(filter, range, direction)
    if (Option.isNone(part)) return nothing
    const { from, given, rest } = way.value
    const order = sql.literal(`ORDER BY seq ${direction}`)
    const isDown = direction === "DESC"

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

  const failures = Effect.gen(function* () {
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

  return { search, failures }
}
