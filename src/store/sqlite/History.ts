import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Statement from "@effect/sql/Statement"
import { Array as Arr, type Context, DateTime, Effect, Option } from "effect"
import type { OrderChange, RowKey } from "../../order/OrderChange.ts"
import { decodeChangeRows } from "../ChangeRow.ts"
import type { Statements } from "../Statements.ts"
import { makeFragments } from "./Fragments.ts"
import { historyRange } from "./Totals.ts"
import { everyTime } from "./Transaction.ts"

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

const keepChanges = (sql: SqlClient.SqlClient): Database["keepChanges"] => {
  const keep = everyTime(
    sql,
    `WITH groups AS MATERIALIZED (
      SELECT
        value ->> 0 AS first, value ->> 1 AS from_status, value ->> 2 AS to_status, value ->> 3 AS at,
        value ->> 4 AS run, value ->> 5 AS attempt, value ->> 6 AS reason, value ->> 7 AS error,
        value ->> 8 AS due_at, value ->> 9 AS asked_by, value -> 10 AS keys
      FROM json_each(?)
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

const columns = `
  id, changes.seq AS key, order_id, user_id, from_status AS "from", to_status AS "to", at, changes.run, attempt, reason,
  error, changes.due_at AS next_attempt_at, asked_by AS "by"`

const changes = (sql: SqlClient.SqlClient): Database["changes"] =>
  Effect.fnUntraced(function* ({ order_id, status, user_id }, after, limit, look) {
    const given: Array<Statement.Fragment> = [sql`id > ${after}`]
    if (order_id !== undefined) given.push(sql`changes.seq = (SELECT seq FROM orders WHERE order_id = ${order_id})`)
    if (user_id !== undefined) given.push(sql`user_id = ${user_id}`)
    if (status !== undefined) given.push(sql`to_status = ${status}`)
    const by = sql.literal(order_id === undefined ? "NOT INDEXED" : "INDEXED BY changes_order")

    /** Up to where is looked, where it is not known how many of very many fit. */
    let edge: number | undefined
    if (order_id === undefined && given.length > 1) {
      const [found] = yield* sql<{ id: number }>`
        SELECT id FROM changes WHERE id > ${after} ORDER BY id LIMIT 1 OFFSET ${look - 1}`
      edge = found?.id
    }
    if (edge !== undefined) given.push(sql`id <= ${edge}`)
    const rows = yield* sql`
      SELECT ${sql.literal(columns)}
      FROM changes ${by} CROSS JOIN orders USING (seq)
      WHERE ${sql.and(given)}
      ORDER BY id
      LIMIT ${limit}`
    const found = yield* decodeChangeRows(rows)
    const last = found.length === limit ? found.at(-1)?.id : edge
    return { found, next: Option.fromNullable(last) }
  })

const forget = (sql: SqlClient.SqlClient): Database["forget"] =>
  Effect.fnUntraced(function* ({ asOf, before, limit }) {
    yield* sql`UPDATE totals SET retention_at = ${asOf.epochMillis}`
    const first = yield* sql<{ id: number; at: number }>`SELECT id, at FROM changes ORDER BY id LIMIT ${limit}`
    const isOld = ({ at }: { readonly at: number }) => at < before.epochMillis
    const isAhead = ({ at }: { readonly at: number }) => at > asOf.epochMillis
    // What was committed before an old change is old, also where a clock that was ahead gave it a time still to come. But a
    // change made under a clock that was behind does not make those before it old.
    let edge = Arr.findLast(
      Arr.takeWhile(first, (change) => isOld(change) || isAhead(change)),
      isOld
    )
    if (first.length === limit && first.every(isAhead)) {
      const [next] = yield* sql<{ at: number }>`
        SELECT at FROM changes WHERE id > ${first[limit - 1]?.id} AND at <= ${asOf.epochMillis} ORDER BY id LIMIT 1`
      if (next !== undefined && isOld(next)) edge = Arr.last(first)
    }
    if (Option.isNone(edge)) return 0
    const { id } = edge.value
    yield* sql`DELETE FROM changes WHERE id <= ${id}`
    yield* sql`UPDATE totals SET history_from = max(history_from, ${id + 1})`
    return first.filter((change) => change.id <= id).length
  })

/** Removes the history of orders, which nobody can follow from before it any more. */
export const forgetOrders = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, keys: ReadonlyArray<number>) {
  const isTheirs = sql`seq IN ${makeFragments(sql).anyOf(keys)}`
  yield* sql`
    UPDATE totals
    SET history_from = max(history_from, (SELECT COALESCE(max(id), 0) + 1 FROM changes WHERE ${isTheirs}))`
  yield* sql`DELETE FROM changes WHERE ${isTheirs}`
})

export const history = (sql: SqlClient.SqlClient) =>
  ({
    keepChanges: keepChanges(sql),
    forget: forget(sql),
    changes: changes(sql),
    historyRange: historyRange(sql)
  }) satisfies Partial<Database>
