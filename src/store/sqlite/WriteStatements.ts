import type * as SqlClient from "@effect/sql/SqlClient"
import { type Context, DateTime, Effect, Option, Schema } from "effect"
import { LastError, type Status, transitions } from "../../order/Order.ts"
import type { RowKey } from "../../order/OrderChange.ts"
import { type CommandOf, prunable, suspectLosses, workerLost } from "../Command.ts"
import { recordOf, transitionOf, waitOf } from "../CommandGroups.ts"
import { decodeOrderRow } from "../OrderRow.ts"
import type { Changed, Statements } from "../Statements.ts"
import { type Fragments, makeFragments } from "./Fragments.ts"
import { forgetOrders } from "./History.ts"
import { PrunedRows } from "./PrunedRows.ts"
import { addToTotals } from "./Totals.ts"

type Database = Context.Tag.Service<Statements>

/** A row that is to be, as JSON: SQLite hands on what is nested in it as JSON text. */
const newRow = ({ order, traceparent }: CommandOf<"Insert">) => ({
  ...order,
  currency: Option.getOrNull(order.currency),
  metadata: Option.getOrNull(order.metadata),
  traceparent: Option.getOrNull(traceparent)
})

const insert =
  (sql: SqlClient.SqlClient): Database["insert"] =>
  (orders, maxPending, now) =>
    sql<Changed & { accepted_at: number }>`
      INSERT INTO orders (
        order_id, status, user_id, item_ids, total_amount, currency, metadata, traceparent, accepted_at, due_at
      )
      SELECT
        new.value ->> 'order_id', ${transitions.accept.to}, new.value ->> 'user_id', new.value ->> 'item_ids',
        new.value ->> 'total_amount', new.value ->> 'currency', new.value ->> 'metadata', new.value ->> 'traceparent',
        ${now}, ${now}
      FROM json_each(${JSON.stringify(orders.map(newRow))}) AS new
      WHERE
        NOT EXISTS (SELECT 1 FROM orders WHERE order_id = new.value ->> 'order_id')
        AND NOT EXISTS (SELECT 1 FROM pruned WHERE order_id = new.value ->> 'order_id')
      ORDER BY new.key
      LIMIT max(0, ${maxPending} - (SELECT pending FROM totals))
      ON CONFLICT (order_id) DO NOTHING
      RETURNING seq, order_id, user_id, run, attempts, accepted_at`

const claim =
  (sql: SqlClient.SqlClient, { anyOf, orderColumns, statusIs }: Fragments): Database["claim"] =>
  (keys, now) => {
    return Effect.flatMap(
      sql<{ seq: RowKey; run: number; due_at: number; started_at: number; round: number; traceparent: string | null }>`
        UPDATE orders
        SET
          status = ${transitions.claim.to}, run = run + 1, attempts = attempts + 1,
          started_at = ${now}, finished_at = NULL
        WHERE ${statusIs(transitions.claim.from[0])} AND seq IN ${anyOf(keys)}
        RETURNING seq, run, due_at, round, traceparent, ${orderColumns}`,
      (rows) =>
        Effect.forEach(rows, (row) =>
          Effect.map(decodeOrderRow(row), (order) => {
            const { due_at, round, run, seq: key, started_at } = row
            return { key, order, run, round, due_at, started_at, traceparent: Option.fromNullable(row.traceparent) }
          })
        )
    )
  }

/** Where an order that was claimed stood in line: it was due then, and is so by a clock that was set back since. */
const stillDue = (sql: SqlClient.SqlClient, now: number) => sql`min(orders.due_at, ${now})`

const encodeError = Schema.encodeSync(LastError)

const recordRow = ({ at, key, outcome, run, took }: CommandOf<"Record">) => ({
  seq: key,
  run,
  at: at.epochMillis,
  took,
  status: transitionOf(outcome).to,
  // As text, for a result may be a text itself, or null.
  result:
    outcome._tag === "Completed" && Option.isSome(outcome.result) ? JSON.stringify(outcome.result.value) : undefined,
  wait: Option.getOrUndefined(waitOf(outcome)),
  last_error: "error" in outcome ? encodeError(outcome.error) : undefined,
  uncounted: outcome._tag === "Released" ? 1 : 0
})

const record =
  (sql: SqlClient.SqlClient, { statusIs }: Fragments): Database["record"] =>
  (records, now) => {
    const waits = sql.literal(`'${transitions.release.to}'`)
    return sql<Changed & { status: Status; finished_at: number | null; took: number }>`
      WITH done AS MATERIALIZED (
        SELECT
          value ->> 'seq' AS seq, value ->> 'run' AS run, value ->> 'status' AS status, value ->> 'at' AS at,
          value ->> 'took' AS took, value ->> 'wait' AS wait, value ->> 'result' AS result,
          value ->> 'last_error' AS last_error, value ->> 'uncounted' AS uncounted
        FROM json_each(${JSON.stringify(records.map(recordRow))})
      )
      UPDATE orders
      SET
        status = done.status, attempts = attempts - done.uncounted,
        due_at = COALESCE(${now} + done.wait, ${stillDue(sql, now)}), wait = COALESCE(done.wait, orders.wait),
        finished_at = CASE WHEN done.status <> ${waits} THEN done.at END,
        started_at = CASE WHEN done.status <> ${waits} THEN min(started_at, done.at) END,
        took = CASE WHEN done.status <> ${waits} THEN done.took END,
        result = done.result,
        last_error = CASE done.uncounted WHEN 0 THEN done.last_error ELSE orders.last_error END
      FROM done
      WHERE orders.seq = done.seq AND orders.run = done.run AND +orders.${statusIs(transitions.complete.from[0])}
      RETURNING seq, order_id, user_id, run, attempts, status, finished_at, COALESCE(took, 0) AS took`
  }

const release =
  (sql: SqlClient.SqlClient, { statusIs }: Fragments): Database["release"] =>
  (key, now) => {
    const isMeant = Option.match(key, { onNone: () => sql`TRUE`, onSome: (key) => sql`seq = ${key}` })
    return sql<Changed>`
      UPDATE orders
      SET
        status = ${transitions.release.to}, attempts = attempts - 1, started_at = NULL, due_at = ${stillDue(sql, now)}
      WHERE ${statusIs(transitions.release.from[0])} AND ${isMeant}
      RETURNING seq, order_id, user_id, run, attempts`
  }

const recover =
  (sql: SqlClient.SqlClient, { statusIs }: Fragments): Database["recover"] =>
  (maxAttempts, now) => {
    const isLost = sql`attempts >= ${maxAttempts} AND losses >= ${suspectLosses}`
    return sql<Changed & { status: Status }>`
      UPDATE orders
      SET
        losses = losses + 1, due_at = ${stillDue(sql, now)},
        status = CASE WHEN ${isLost} THEN ${transitions.fail.to} ELSE ${transitions.release.to} END,
        started_at = CASE WHEN ${isLost} THEN min(started_at, ${now}) END,
        finished_at = CASE WHEN ${isLost} THEN ${now} END,
        last_error = json_object(
          'code', ${workerLost.code}, 'message', ${workerLost.message}, 'attempt', attempts,
          'at', ${DateTime.formatIso(DateTime.unsafeMake(now))}
        )
      WHERE ${statusIs(transitions.release.from[0])}
      RETURNING seq, order_id, user_id, run, attempts, status`
  }

const cancel =
  (sql: SqlClient.SqlClient): Database["cancel"] =>
  (key, from, now) =>
    sql<Changed>`
      UPDATE orders
      SET status = ${transitions.cancel.to}, finished_at = ${now}, started_at = min(started_at, ${now})
      WHERE seq = ${key} AND +status = ${from}
      RETURNING seq, order_id, user_id, run, attempts`

const reopened = (sql: SqlClient.SqlClient, now: number) => sql`
  status = ${transitions.reopen.to}, attempts = 0, losses = 0, round = round + 1, due_at = ${now}, wait = 0,
  started_at = NULL, finished_at = NULL, took = NULL, result = NULL`

const reopen =
  (sql: SqlClient.SqlClient): Database["reopen"] =>
  (key, from, now) =>
    sql<Changed>`
      UPDATE orders
      SET ${reopened(sql, now)}
      WHERE seq = ${key} AND +status = ${from}
      RETURNING seq, order_id, user_id, run, attempts`

const reopenMany =
  (sql: SqlClient.SqlClient, { anyOf }: Fragments): Database["reopenMany"] =>
  (keys, status, error_code, now) => {
    const hasError = error_code === undefined ? sql`TRUE` : sql`error_code = ${error_code}`
    return sql<Changed>`
      UPDATE orders
      SET ${reopened(sql, now)}
      WHERE seq IN ${anyOf(keys)} AND +status = ${status} AND ${hasError}
      RETURNING seq, order_id, user_id, run, attempts`
  }

const encodePruned = Schema.encodeSync(Schema.parseJson(PrunedRows))

const prune = (sql: SqlClient.SqlClient, { anyOf, by, orderColumns }: Fragments): Database["prune"] =>
  Effect.fnUntraced(function* ({ asOf, before, limit }) {
    /** The rows of the index that was made for it, so that no row is read that is not removed. */
    const isPrunable = sql.literal(`status IN (${prunable.map((status) => `'${status}'`).join(", ")})`)
    const old = yield* sql<{ seq: number }>`
      SELECT seq, ${orderColumns} FROM ${by("orders_prunable")}
      WHERE ${isPrunable} AND finished_at < ${before.epochMillis}
      ORDER BY finished_at, seq
      LIMIT ${limit}`
    yield* sql`UPDATE totals SET retention_at = ${asOf.epochMillis}`
    if (old.length === 0) return 0
    const records = yield* Effect.forEach(old, (row) => Effect.map(decodeOrderRow(row), recordOf))
    yield* sql`
      INSERT INTO pruned (order_id, fingerprint, status, finished_at)
      SELECT value ->> 'order_id', value ->> 'fingerprint', value ->> 'status', value ->> 'finished_at'
      FROM json_each(${encodePruned(records)})`
    const keys = old.map((row) => row.seq)
    yield* sql`DELETE FROM orders WHERE seq IN ${anyOf(keys)}`
    yield* forgetOrders(sql, keys)
    return old.length
  })

const rebase = (sql: SqlClient.SqlClient, { by, statusIs }: Fragments): Database["rebase"] =>
  Effect.fnUntraced(function* ({ after, by: millis, limit, until }, now) {
    /** By the index that moving them leaves as it is. */
    const line = by("orders_status")
    const waiting = sql`${statusIs(transitions.claim.from[0])} AND seq > ${after}`
    const [edge] = yield* sql<{ seq: number }>`
      SELECT seq FROM ${line} WHERE ${waiting} AND seq <= ${until} ORDER BY seq LIMIT 1 OFFSET ${limit - 1}`
    const end = edge?.seq ?? until
    // Set back, what is due or was decided since stays as it is; and what became due by the clock as it was, is due now.
    const moved = sql`min(due_at + ${millis}, ${now} + wait)`
    const dueAt = millis > 0 ? moved : sql`max(${now}, ${moved})`
    const isConcerned = millis > 0 ? sql`TRUE` : sql`due_at > ${now} AND due_at > ${now} + wait`
    yield* sql`UPDATE ${line} SET due_at = ${dueAt} WHERE ${waiting} AND seq <= ${end} AND ${isConcerned}`
    const [changed] = yield* sql<{ count: number }>`SELECT changes() AS count`
    return { count: changed?.count ?? 0, next: end < until ? Option.some(end) : Option.none() }
  })

/** What a probe writes, in bytes: about what an ordinary order takes, and more than the largest does. */
const probeBytes = { ordinary: 32_768, largest: 262_144 }

/** The statements that change something. */
export const writeStatements = (sql: SqlClient.SqlClient) => {
  const fragments = makeFragments(sql)
  return {
    insert: insert(sql),
    claim: claim(sql, fragments),
    record: record(sql, fragments),
    release: release(sql, fragments),
    recover: recover(sql, fragments),
    cancel: cancel(sql),
    reopen: reopen(sql),
    reopenMany: reopenMany(sql, fragments),
    prune: prune(sql, fragments),
    rebase: rebase(sql, fragments),
    addToTotals: addToTotals(sql),
    // Other bytes each time, for SQLite writes no page that stays the same.
    probe: (needs) => Effect.asVoid(sql`UPDATE probe SET filler = randomblob(${probeBytes[needs]})`)
  } satisfies Partial<Database>
}
