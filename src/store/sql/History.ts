import type * as Statement from "@effect/sql/Statement"
import { Array as Arr, type Context, DateTime, Effect, Option } from "effect"
import type { OrderChange } from "../../order/OrderChange.ts"
import { decodeChangeRows } from "../ChangeRow.ts"
import type { Statements } from "../Statements.ts"
import type { Fragments } from "./Fragments.ts"
import { historyRange } from "./Totals.ts"

type Database = Context.Tag.Service<Statements>

/** A change as a row of the history, of what JSON can bring. */
export const changeRow = ({
  at,
  attempt,
  by,
  error,
  from,
  id,
  key,
  next_attempt_at,
  reason,
  run,
  to
}: OrderChange) => ({
  id,
  seq: key,
  from_status: Option.getOrUndefined(from),
  to_status: to,
  at: at.epochMillis,
  run,
  attempt,
  reason,
  error: Option.getOrUndefined(Option.map(error, ({ code, message }) => JSON.stringify({ code, message }))),
  due_at: Option.getOrUndefined(Option.map(next_attempt_at, DateTime.toEpochMillis)),
  asked_by: Option.getOrUndefined(by)
})

const changeColumns = {
  id: "integer",
  seq: "integer",
  from_status: "name",
  to_status: "name",
  at: "integer",
  run: "integer",
  attempt: "integer",
  reason: "name",
  error: "text",
  due_at: "integer",
  asked_by: "name"
} as const

const keepChanges =
  ({ rows, sql }: Fragments): Database["keepChanges"] =>
  (changes) =>
    Effect.asVoid(sql`
      INSERT INTO changes (id, seq, from_status, to_status, at, run, attempt, reason, error, due_at, asked_by)
      SELECT id, seq, from_status, to_status, at, run, attempt, reason, error, due_at, asked_by
      FROM ${rows(changes.map(changeRow), changeColumns)} AS given`)

const columns = `
  id, changes.seq AS "key", order_id, user_id, from_status AS "from", to_status AS "to", at, changes.run, attempt, reason,
  error, changes.due_at AS next_attempt_at, asked_by AS "by"`

const changes = ({ changesBy, sql }: Fragments): Database["changes"] =>
  Effect.fnUntraced(function* ({ order_id, status, user_id }, after, limit, look) {
    const given: Array<Statement.Fragment> = [sql`id > ${after}`]
    if (order_id !== undefined) given.push(sql`changes.seq = (SELECT seq FROM orders WHERE order_id = ${order_id})`)
    if (user_id !== undefined) given.push(sql`user_id = ${user_id}`)
    if (status !== undefined) given.push(sql`to_status = ${status}`)

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
      FROM ${changesBy(order_id === undefined ? "id" : "order")}
      WHERE ${sql.and(given)}
      ORDER BY id
      LIMIT ${limit}`
    const found = yield* decodeChangeRows(rows)
    const last = found.length === limit ? found.at(-1)?.id : edge
    return { found, next: Option.fromNullable(last) }
  })

/** From then on every change is kept. */
const keepFrom = ({ greater, sql }: Fragments, id: number) =>
  sql`UPDATE totals SET history_from = ${greater(sql.literal("history_from"), sql`${id}`)}`

const forget = (fragments: Fragments): Database["forget"] =>
  Effect.fnUntraced(function* ({ asOf, before, limit }) {
    const { sql } = fragments
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
    const last = first[limit - 1]
    if (last !== undefined && first.every(isAhead)) {
      // In steps that grow, for there may be millions.
      let next: { readonly at: number } | undefined = last
      for (let step = 1; next !== undefined && isAhead(next); step *= 2) {
        ;[next] = yield* sql<{ at: number }>`SELECT at FROM changes WHERE id >= ${last.id + step} ORDER BY id LIMIT 1`
      }
      if (next !== undefined && isOld(next)) edge = Option.some(last)
    }
    if (Option.isNone(edge)) return 0
    const { id } = edge.value
    yield* sql`DELETE FROM changes WHERE id <= ${id}`
    yield* keepFrom(fragments, id + 1)
    return first.filter((change) => change.id <= id).length
  })

/** Removes the history of orders, which nobody can follow from before it any more. */
export const forgetOrders = Effect.fnUntraced(function* (fragments: Fragments, keys: ReadonlyArray<number>) {
  const { anyOf, remove, sql } = fragments
  const [last] = yield* sql<{ id: number }>`
    SELECT COALESCE(max(id), 0) AS id FROM changes WHERE seq IN ${anyOf.keys(keys)}`
  yield* keepFrom(fragments, (last?.id ?? 0) + 1)
  yield* remove("changes", keys)
})

export const history = (fragments: Fragments) =>
  ({
    keepChanges: keepChanges(fragments),
    forget: forget(fragments),
    changes: changes(fragments),
    historyRange: historyRange(fragments)
  }) satisfies Partial<Database>
