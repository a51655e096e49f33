import type * as SqlClient from "@effect/sql/SqlClient"
import { type Array as Arr, type Context, Effect, Option } from "effect"
import type { OrderChange, RowKey } from "../../order/OrderChange.ts"
import type { Statements } from "../Statements.ts"
import { everyTime } from "../sql/EveryTime.ts"
import { changeRow } from "../sql/History.ts"

type Database = Context.Tag.Service<Statements>

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
 * share theirs. For each group: the row of its first change, and the keys of the orders of all.
 */
const grouped = (changes: Arr.NonEmptyReadonlyArray<OrderChange>) => {
  const groups: Array<ReturnType<typeof changeRow> & { readonly keys: ReadonlyArray<RowKey> }> = []
  let last: OrderChange | undefined
  let keys: Array<RowKey> = []
  for (const change of changes) {
    if (last === undefined || !areAlike(last, change)) {
      keys = []
      groups.push({ ...changeRow(change), keys })
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
        value ->> 'id' AS first, value ->> 'from_status' AS from_status, value ->> 'to_status' AS to_status,
        value ->> 'at' AS at, value ->> 'run' AS run, value ->> 'attempt' AS attempt, value ->> 'reason' AS reason,
        value ->> 'error' AS error, value ->> 'due_at' AS due_at, value ->> 'asked_by' AS asked_by,
        value -> 'keys' AS keys
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
