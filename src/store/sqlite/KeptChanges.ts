import type * as SqlClient from "@effect/sql/SqlClient"
import { type Array as Arr, type Context, DateTime, Effect, Option } from "effect"
import type { OrderChange, RowKey } from "../../order/OrderChange.ts"
import type { Statements } from "../Statements.ts"
import { everyTime } from "../sql/EveryTime.ts"

type Database = Context.Tag.Service<Statements>

/** What changes have in common that differ in nothing but their ids and orders. */
const commonOf = ({ at, attempt, by, error, from, next_attempt_at, reason, run, to }: OrderChange) => [
  Option.getOrNull(from),
  to,
  at.epochMillis,
  run,
  attempt,
  reason,
  Option.match(error, { onNone: () => null, onSome: ({ code, message }) => JSON.stringify({ code, message }) }),
  Option.getOrNull(Option.map(next_attempt_at, DateTime.toEpochMillis)),
  Option.getOrNull(by)
]

const isPlain = ({ by, error, next_attempt_at }: OrderChange) =>
  Option.isNone(error) && Option.isNone(next_attempt_at) && Option.isNone(by)

const areAlike = (a: OrderChange, b: OrderChange) =>
  a.reason === b.reason &&
  a.at.epochMillis === b.at.epochMillis &&
  a.run === b.run &&
  a.attempt === b.attempt &&
  Option.getOrNull(a.from) === Option.getOrNull(b.from) &&
  isPlain(a) &&
  isPlain(b)

/**
 * Most changes of a batch are like the one before, and each value that SQLite takes out of JSON costs time: so neighbours
 * share theirs. For each group: the id of its first change, what its changes have in common, and the keys of their orders.
 */
const grouped = (changes: Arr.NonEmptyReadonlyArray<OrderChange>) => {
  const groups: Array<ReadonlyArray<unknown>> = []
  let last: OrderChange | undefined
  let keys: Array<RowKey> = []
  for (const change of changes) {
    if (last === undefined || !areAlike(last, change)) {
      keys = []
      groups.push([change.id, ...commonOf(change), keys])
    }
    keys.push(change.key)
    last = change
  }
  return JSON.stringify(groups)
}

/** Adds changes to the history. */
export const keepChanges = (sql: SqlClient.SqlClient): Database["keepChanges"] => {
  const keep = everyTime(
    sql,
    sql`
    WITH groups AS MATERIALIZED (
      SELECT
        value ->> 0 AS first, value ->> 1 AS from_status, value ->> 2 AS to_status, value ->> 3 AS at,
        value ->> 4 AS run, value ->> 5 AS attempt, value ->> 6 AS reason, value ->> 7 AS error,
        value ->> 8 AS due_at, value ->> 9 AS asked_by, value -> 10 AS keys
      FROM json_each(${"[]"})
    )
    INSERT INTO changes (
      id, seq, from_status, to_status, at, run, attempt, reason, error, due_at, asked_by
    )
    SELECT
      first + keys.key, keys.value, from_status, to_status, at, run, attempt, reason, error, due_at, asked_by
    FROM groups CROSS JOIN json_each(groups.keys) AS keys`
  )
  return (changes) => Effect.asVoid(keep([grouped(changes)]))
}
