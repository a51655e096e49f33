import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Statement from "@effect/sql/Statement"
import { Array as Arr, Effect, Option } from "effect"
import type { Filter } from "../Command.ts"
import type { Direction, KeyRange } from "../Statements.ts"

/** The keys of a block, whose span of times of acceptance is known. */
const blockKeys = 1024
/** Blocks that are looked at in one step. */
const mostBlocks = 64

/** The first block of the range, in that direction, that may have orders accepted then; or the first that has none. */
const firstBlock = (
  sql: SqlClient.SqlClient,
  isWithin: boolean,
  { accepted_after, accepted_before }: Filter,
  { high, low }: KeyRange,
  direction: Direction
) => {
  const terms: Array<Statement.Fragment> = []
  if (accepted_after !== undefined) terms.push(sql`latest >= ${accepted_after.epochMillis}`)
  if (accepted_before !== undefined) terms.push(sql`earliest < ${accepted_before.epochMillis}`)
  return Effect.map(
    sql<{ block: number }>`
      SELECT block FROM spans
      WHERE block BETWEEN ${low} AND ${high} AND ${sql.literal(isWithin ? "" : "NOT ")}(${sql.and(terms)})
      ORDER BY block ${sql.literal(direction === "down" ? "DESC" : "ASC")}
      LIMIT 1`,
    (rows) => Option.map(Arr.head(rows), ({ block }) => block)
  )
}

/** The first part of the range, in that direction, whose blocks may all have orders accepted then. */
export const partAt = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  filter: Filter,
  range: KeyRange,
  direction: Direction
) {
  if (filter.accepted_after === undefined && filter.accepted_before === undefined) return Option.some(range)
  const blocks = { low: Math.floor(range.low / blockKeys), high: Math.floor(range.high / blockKeys) }
  const first = yield* firstBlock(sql, true, filter, blocks, direction)
  if (Option.isNone(first)) return Option.none()
  const near = (from: number, to: number) => ({ low: Math.max(from, blocks.low), high: Math.min(to, blocks.high) })
  const step = direction === "down" ? -1 : 1
  const furthest = first.value + step * (mostBlocks - 1)
  const others = direction === "down" ? near(furthest, first.value - 1) : near(first.value + 1, furthest)
  const gap = yield* firstBlock(sql, false, filter, others, direction)
  const last = Option.match(gap, { onNone: () => furthest, onSome: (block) => block - step })
  return Option.some({
    low: Math.max(range.low, Math.min(first.value, last) * blockKeys),
    high: Math.min(range.high, (Math.max(first.value, last) + 1) * blockKeys - 1)
  })
})
