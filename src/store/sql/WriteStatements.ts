import { randomBytes } from "node:crypto"
import { type Context, DateTime, Effect, Option, Schema } from "effect"
import { LastError, type Status, transitions } from "../../order/Order.ts"
import type { RowKey } from "../../order/OrderChange.ts"
import { type CommandOf, suspectLosses, workerLost } from "../Command.ts"
import { recordOf, transitionOf, waitOf } from "../CommandGroups.ts"
import { decodeOrderRow } from "../OrderRow.ts"
import type { Changed, Statements } from "../Statements.ts"
import type { Fragments } from "./Fragments.ts"
import { forgetOrders } from "./History.ts"
import { PrunedRows } from "./PrunedRows.ts"
import { addToTotals } from "./Totals.ts"

type Database = Context.Tag.Service<Statements>

const jsonOrNull = (value: Option.Option<unknown>) =>
  Option.getOrNull(Option.map(value, (value) => JSON.stringify(value)))

const newRow = ({ order, traceparent }: CommandOf<"Insert">, place: number) => ({
  place,
  new_id: order.order_id,
  new_user: order.user_id,
  new_items: JSON.stringify(order.item_ids),
  new_amount: order.total_amount,
  new_currency: Option.getOrNull(order.currency),
  new_metadata: jsonOrNull(order.metadata),
  new_trace: Option.getOrNull(traceparent)
})

const newColumns = {
  place: "integer",
  new_id: "name",
  new_user: "name",
  new_items: "text",
  new_amount: "integer",
  new_currency: "name",
  new_metadata: "text",
  new_trace: "name"
} as const

/** The columns of {@link Changed}. */
const changed = "seq, order_id, user_id, round, run, attempts"

const insert =
  ({ newKey, orSkip, rows, sql }: Fragments): Database["insert"] =>
  (orders, maxPending, now) =>
    sql<Changed & { accepted_at: number }>`
      INSERT INTO orders (
        ${newKey.column} order_id, status, user_id, item_ids, total_amount, currency, metadata, traceparent,
        accepted_at, due_at
      )
      SELECT
        ${newKey.value} new_id, ${transitions.accept.to}, new_user, new_items, new_amount, new_currency, new_metadata, new_trace,
        ${now}, ${now}
      FROM (
        SELECT given.*, ROW_NUMBER() OVER (ORDER BY place) AS newcomer
        FROM ${rows(orders.map(newRow), newColumns)} AS given
        WHERE
          NOT EXISTS (SELECT 1 FROM orders WHERE order_id = new_id)
          AND NOT EXISTS (SELECT 1 FROM pruned WHERE order_id = new_id)
      ) AS newcomers
      WHERE newcomer <= ${maxPending} - (SELECT pending FROM totals)
      ORDER BY newcomer
      ${orSkip}
      RETURNING ${sql.literal(changed)}, accepted_at`

const claim =
  ({ orderColumns, rows, sql, statusIsStill, update }: Fragments): Database["claim"] =>
  (claims, now) =>
    Effect.flatMap(
      update<{
        seq: RowKey
        run: number
        due_at: number
        started_at: number
        round: number
        traceparent: string | null
      }>({
        from: sql`${rows(
          claims.map(({ job, key }) => ({ row_key: key, last_run: Option.getOrUndefined(job)?.run })),
          { row_key: "integer", last_run: "integer" }
        )} AS given`,
        set: sql`
          status = ${transitions.claim.to}, run = run + 1, attempts = attempts + 1,
          started_at = ${now}, finished_at = NULL`,
        where: sql`seq = row_key AND run = COALESCE(last_run, run) AND ${statusIsStill(transitions.claim.from[0])}`,
        returning: sql`seq, run, due_at, round, traceparent, ${orderColumns}`
      }),
      (rows) =>
        Effect.forEach(rows, (row) =>
          Effect.map(decodeOrderRow(row), (order) => {
            const { due_at, round, run, seq: key, started_at } = row
            return { key, order, run, round, due_at, started_at, traceparent: Option.fromNullable(row.traceparent) }
          })
        )
    )

/** Where an order that was claimed stood in line: it was due then, and is so by a clock that was set back since. */
const stillDue = ({ lesser, sql }: Fragments, now: number) => lesser(sql.literal("due_at"), sql`${now}`)

const encodeError = Schema.encodeSync(Schema.parseJson(LastError))

const recordRow = ({ at, key, outcome, run, took }: CommandOf<"Record">) => ({
  row_key: key,
  row_run: run,
  next_status: transitionOf(outcome).to,
  ended_at: at.epochMillis,
  new_took: took,
  new_wait: Option.getOrUndefined(waitOf(outcome)),
  new_result: outcome._tag === "Completed" ? jsonOrNull(outcome.result) : undefined,
  new_error: "error" in outcome ? encodeError(outcome.error) : undefined,
  new_code: "error" in outcome ? outcome.error.code : undefined,
  uncounted: outcome._tag === "Released" ? 1 : 0
})

const recordColumns = {
  row_key: "integer",
  row_run: "integer",
  next_status: "name",
  ended_at: "integer",
  new_took: "integer",
  new_wait: "integer",
  new_result: "text",
  new_error: "text",
  new_code: "name",
  uncounted: "integer"
} as const

const record =
  (fragments: Fragments): Database["record"] =>
  (records, now) => {
    const { errorCode, lesser, rows, sql, statusIsStill, update } = fragments
    const isOver = sql.literal(`next_status <> '${transitions.release.to}'`)
    const started = lesser(sql.literal("started_at"), sql.literal("ended_at"))
    return update<Changed & { status: Status; finished_at: number | null; took: number }>({
      from: sql`${rows(records.map(recordRow), recordColumns)} AS done`,
      set: sql`
        status = next_status, attempts = attempts - uncounted,
        due_at = COALESCE(${now} + new_wait, ${stillDue(fragments, now)}), wait = COALESCE(new_wait, wait),
        finished_at = CASE WHEN ${isOver} THEN ended_at END,
        started_at = CASE WHEN ${isOver} THEN ${started} END,
        took = CASE WHEN ${isOver} THEN new_took END,
        result = new_result,
        last_error = CASE uncounted WHEN 0 THEN new_error ELSE last_error END
        ${errorCode(sql.literal("CASE uncounted WHEN 0 THEN new_code ELSE error_code END"))}`,
      where: sql`seq = row_key AND run = row_run AND ${statusIsStill(transitions.complete.from[0])}`,
      returning: sql.literal(`${changed}, status, finished_at, COALESCE(took, 0) AS took`)
    })
  }

const release =
  (fragments: Fragments): Database["release"] =>
  ({ key, run }, now) => {
    const { sql, statusIs, update } = fragments
    const isMeant = Option.match(key, { onNone: () => sql`TRUE`, onSome: (key) => sql`seq = ${key}` })
    const isRun = Option.match(run, { onNone: () => sql`TRUE`, onSome: (run) => sql`run = ${run}` })
    return update<Changed>({
      set: sql`
        status = ${transitions.release.to}, attempts = attempts - 1, started_at = NULL,
        due_at = ${stillDue(fragments, now)}`,
      where: sql`${statusIs(transitions.release.from[0])} AND ${isMeant} AND ${isRun}`,
      returning: sql.literal(changed)
    })
  }

/** The `last_error` of an order that was lost, but for the number of its attempt. */
const lostError = (now: number) => encodeError({ ...workerLost, attempt: 0, at: DateTime.unsafeMake(now) })

const recover =
  (fragments: Fragments): Database["recover"] =>
  (runs, maxAttempts, now) => {
    const { errorCode, lesser, rows, sql, statusIs, statusIsStill, update } = fragments
    const isLost = sql`attempts >= ${maxAttempts} AND losses >= ${suspectLosses}`
    const given = Option.map(runs, (runs) => ({
      from: sql`${rows(
        runs.map(({ key, run }) => ({ row_key: key, row_run: run })),
        { row_key: "integer", row_run: "integer" }
      )} AS lost`,
      where: sql`seq = row_key AND run = row_run AND ${statusIsStill(transitions.release.from[0])}`
    }))
    return update<Changed & { status: Status }>({
      ...Option.getOrElse(given, () => ({ where: statusIs(transitions.release.from[0]) })),
      set: sql`
        status = CASE WHEN ${isLost} THEN ${transitions.fail.to} ELSE ${transitions.release.to} END,
        due_at = ${stillDue(fragments, now)},
        finished_at = CASE WHEN ${isLost} THEN ${now} ELSE finished_at END,
        started_at = CASE WHEN ${isLost} THEN ${lesser(sql.literal("started_at"), sql`${now}`)} END,
        last_error = replace(${lostError(now)}, '"attempt":0', concat('"attempt":', attempts)),
        losses = losses + 1
        ${errorCode(sql`${workerLost.code}`)}`,
      returning: sql.literal(`${changed}, status`)
    })
  }

const cancel =
  ({ lesser, sql, statusIsStill, update }: Fragments): Database["cancel"] =>
  (key, from, now) =>
    update<Changed>({
      set: sql`
        status = ${transitions.cancel.to}, finished_at = ${now},
        started_at = ${lesser(sql.literal("started_at"), sql`${now}`)}`,
      where: sql`seq = ${key} AND ${statusIsStill(from)}`,
      returning: sql.literal(changed)
    })

const reopened = ({ sql }: Fragments, now: number) => sql`
  status = ${transitions.reopen.to}, attempts = 0, losses = 0, round = round + 1, due_at = ${now}, wait = 0,
  started_at = NULL, finished_at = NULL, took = NULL, result = NULL`

const reopen =
  (fragments: Fragments): Database["reopen"] =>
  (key, from, now) =>
    fragments.update<Changed>({
      set: reopened(fragments, now),
      where: fragments.sql`seq = ${key} AND ${fragments.statusIsStill(from)}`,
      returning: fragments.sql.literal(changed)
    })

const reopenMany =
  (fragments: Fragments): Database["reopenMany"] =>
  (keys, status, error_code, now) => {
    const { anyOf, sql, statusIsStill, update } = fragments
    const hasError = error_code === undefined ? sql`TRUE` : sql`error_code = ${error_code}`
    return update<Changed>({
      set: reopened(fragments, now),
      where: sql`seq IN ${anyOf.keys(keys)} AND ${statusIsStill(status)} AND ${hasError}`,
      returning: sql.literal(changed)
    })
  }

const prunedColumns = { order_id: "name", fingerprint: "name", status: "name", finished_at: "integer" } as const

const encodePruned = Schema.encodeSync(PrunedRows)

const prune = (fragments: Fragments): Database["prune"] =>
  Effect.fnUntraced(function* ({ asOf, before, limit }) {
    const { orderColumns, partial, remove, rows, sql } = fragments
    /** The rows of the index that was made for it, so that no row is read that is not removed. */
    const { from, isIn } = partial("orders_prunable")
    const old = yield* sql<{ seq: number }>`
      SELECT seq, ${orderColumns} FROM ${from}
      WHERE ${isIn} AND finished_at < ${before.epochMillis}
      ORDER BY finished_at, seq
      LIMIT ${limit}`
    yield* sql`UPDATE totals SET retention_at = ${asOf.epochMillis}`
    if (old.length === 0) return 0
    const records = yield* Effect.forEach(old, (row) => Effect.map(decodeOrderRow(row), recordOf))
    yield* sql`
      INSERT INTO pruned (order_id, fingerprint, status, finished_at)
      SELECT order_id, fingerprint, status, finished_at
      FROM ${rows(encodePruned(records), prunedColumns)} AS given`
    const keys = old.map((row) => row.seq)
    yield* remove("orders", keys)
    yield* forgetOrders(fragments, keys)
    return old.length
  })

const rebase = ({ greater, lesser, slice, sql, update }: Fragments): Database["rebase"] =>
  Effect.fnUntraced(function* ({ after, by: millis, limit, until }, now) {
    /** By the index that moving them leaves as it is. */
    const line = (until: number) =>
      slice({
        index: "orders_status",
        values: { status: transitions.claim.from[0] },
        range: { low: after + 1, high: until },
        direction: "up"
      })
    const { from, isIn, order } = line(until)
    const [edge] = yield* sql<{ seq: number }>`
      SELECT seq FROM ${from} WHERE ${isIn} ${order} LIMIT 1 OFFSET ${limit - 1}`
    const end = edge?.seq ?? until
    // Set back, what is due or was decided since stays as it is; and what became due by the clock as it was, is due now.
    const shifted = lesser(sql`due_at + ${millis}`, sql`${now} + wait`)
    const dueAt = millis > 0 ? shifted : greater(sql`${now}`, shifted)
    const isConcerned = millis > 0 ? sql`TRUE` : sql`due_at > ${now} AND due_at > ${now} + wait`
    const moved = yield* update({
      orders: from,
      set: sql`due_at = ${dueAt}`,
      where: sql`${line(end).isIn} AND ${isConcerned}`,
      returning: sql.literal("seq")
    })
    return { count: moved.length, next: end < until ? Option.some(end) : Option.none() }
  })

/** What a probe writes, in bytes: about what an ordinary order takes, and more than the largest does. */
const probeBytes = { ordinary: 32_768, largest: 262_144 }

/** The statements that change something. */
export const writeStatements = (fragments: Fragments) =>
  ({
    insert: insert(fragments),
    claim: claim(fragments),
    record: record(fragments),
    release: release(fragments),
    recover: recover(fragments),
    cancel: cancel(fragments),
    reopen: reopen(fragments),
    reopenMany: reopenMany(fragments),
    prune: prune(fragments),
    rebase: rebase(fragments),
    addToTotals: addToTotals(fragments),
    // Other bytes each time, for SQLite writes no page that stays the same.
    probe: (needs) =>
      Effect.suspend(() => Effect.asVoid(fragments.sql`UPDATE probe SET filler = ${randomBytes(probeBytes[needs])}`))
  }) satisfies Partial<Database>
