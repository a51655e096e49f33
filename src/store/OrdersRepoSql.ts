import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Statement from "@effect/sql/Statement"
import { Array as Arr, Clock, type Context, DateTime, Effect, Exit, Layer, Option, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import { AppConfig } from "../AppConfig.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { LastError, type NewOrder, OrderId, Status, transitions } from "../order/Order.ts"
import type { OrderChange, RowKey } from "../order/OrderChange.ts"
import {
  type Claim,
  Command,
  type CommandOf,
  defaultLook,
  type Lane,
  prunable,
  Result,
  reopenable,
  suspectLosses,
  type Totals,
  workerLost
} from "./Command.ts"
import { addTo, change, type Done, groups, noTotals, recordOf, statusAfter, waitOf } from "./CommandGroups.ts"
import { decodeOrderRow } from "./OrderRow.ts"
import { OrdersRepo } from "./OrdersRepo.ts"
import { DatabaseFile } from "./sqlite/DatabaseFile.ts"
import { makeOrdersLook } from "./sqlite/OrdersLook.ts"
import * as Sql from "./sqlite/Sqlite.ts"

/** A row that is to be, as JSON: SQLite hands on what is nested in it as JSON text. */
const newRow = ({ order, traceparent }: CommandOf<"Insert">) => ({
  ...order,
  currency: Option.getOrNull(order.currency),
  metadata: Option.getOrNull(order.metadata),
  traceparent: Option.getOrNull(traceparent)
})

const encodeError = Schema.encodeSync(LastError)

const recordRow = ({ at, key, outcome, run, took }: CommandOf<"Record">) => ({
  seq: key,
  run,
  at: at.epochMillis,
  took,
  status: statusAfter(outcome),
  // As text, for a result may be a text itself, or null.
  result:
    outcome._tag === "Completed" && Option.isSome(outcome.result) ? JSON.stringify(outcome.result.value) : undefined,
  wait: Option.getOrUndefined(waitOf(outcome)),
  last_error: "error" in outcome ? encodeError(outcome.error) : undefined,
  uncounted: outcome._tag === "Released" ? 1 : 0
})

const PrunedRows = Schema.Array(
  Schema.Struct({
    order_id: OrderId,
    fingerprint: Schema.String,
    status: Status,
    finished_at: Schema.DateTimeUtcFromNumber
  })
)

/** What a probe writes, in bytes: about what an ordinary order takes, and more than the largest does. */
const [smallProbe, largeProbe] = [32_768, 262_144]

/** Orders in SQL. Each group of commands is one prepared statement, whatever its size. */
const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const file = yield* DatabaseFile
  const unavailable = yield* Sql.makeOrUnavailable
  const orUnavailable = <A, R>(self: Effect.Effect<A, SqlError | ParseError, R>) => unavailable(file.noticing(self))
  const { maxPending } = yield* AppConfig
  const monotonic = yield* monotonicMillis
  const decodePruned = Schema.decodeUnknown(PrunedRows)
  const encodePruned = Schema.encodeSync(Schema.parseJson(PrunedRows))
  const { failures, lookAt } = yield* makeOrdersLook

  const orderColumns = sql.literal(`
    order_id, status, user_id, item_ids, total_amount, currency, metadata, attempts, accepted_at, started_at,
    finished_at, CASE WHEN status = 'Pending' AND (wait > 0 OR round > 1) THEN due_at END AS next_attempt_at,
    last_error, result`)
  /** Spelled out, not bound, so that SQLite sees that the partial index of that status fits. */
  const statusIs = (status: Status) => sql.literal(`status = '${status}'`)
  /** Each lane by its index, which SQLite would pass over for the one of all statuses, and then sort. */
  const lanes = {
    open: { front: sql.literal("orders INDEXED BY orders_pending"), isIn: sql.literal(`losses < ${suspectLosses}`) },
    suspect: { front: sql.literal("orders INDEXED BY orders_suspect"), isIn: sql.literal(`losses >= ${suspectLosses}`) }
  }
  const prunedOf = (ids: ReadonlyArray<string>) =>
    Effect.flatMap(
      sql`SELECT * FROM pruned WHERE order_id IN (SELECT value FROM json_each(${JSON.stringify(ids)}))`,
      decodePruned
    )

  const insert = Effect.fnUntraced(function* (commands: ReadonlyArray<CommandOf<"Insert">>, now: number) {
    const orders = commands.map((command) => command.order)
    const firstOf = new Map<string, number>()
    for (const [index, order] of orders.entries()) {
      if (!firstOf.has(order.order_id)) firstOf.set(order.order_id, index)
    }
    const distinct = commands.filter(({ order }, index) => firstOf.get(order.order_id) === index).map(newRow)

    const rows = yield* sql<{ seq: number; order_id: string; user_id: string; attempts: number; accepted_at: number }>`
      INSERT INTO orders (
        order_id, status, user_id, item_ids, total_amount, currency, metadata, traceparent, accepted_at, due_at
      )
      SELECT
        new.value ->> 'order_id', ${transitions.accept.to}, new.value ->> 'user_id', new.value ->> 'item_ids',
        new.value ->> 'total_amount', new.value ->> 'currency', new.value ->> 'metadata', new.value ->> 'traceparent',
        ${now}, ${now}
      FROM json_each(${JSON.stringify(distinct)}) AS new
      WHERE
        NOT EXISTS (SELECT 1 FROM orders WHERE order_id = new.value ->> 'order_id')
        AND NOT EXISTS (SELECT 1 FROM pruned WHERE order_id = new.value ->> 'order_id')
      ORDER BY new.key
      LIMIT max(0, ${maxPending} - (SELECT pending FROM totals))
      ON CONFLICT (order_id) DO NOTHING
      RETURNING seq, order_id, user_id, attempts, accepted_at`
    const changes = rows.map((row) => change(row, undefined, transitions.accept.to, row.accepted_at, row.accepted_at))
    const inserted = new Set(rows.map((row) => row.order_id))
    const isInserted = (order: NewOrder, index: number) =>
      inserted.has(order.order_id) && firstOf.get(order.order_id) === index
    if (inserted.size === orders.length) return { results: orders.map(() => Result.Inserted()), changes }

    const others = orders.filter((order, index) => !isInserted(order, index)).map((order) => order.order_id)
    const found = yield* sql`
      SELECT ${orderColumns} FROM orders
      WHERE order_id IN (SELECT value FROM json_each(${JSON.stringify(others)}))`
    const known = new Map(
      (yield* Effect.forEach(found, (row) => decodeOrderRow(row))).map((order) => [order.order_id, order])
    )
    const gone = new Map((yield* prunedOf(others)).map((record) => [record.order_id, record]))
    const results = orders.map((order, index) => {
      if (isInserted(order, index)) return Result.Inserted()
      const twin = known.get(order.order_id)
      if (twin !== undefined) return Result.Known({ order: twin })
      const record = gone.get(order.order_id)
      return record === undefined ? Result.Full() : Result.Gone({ record })
    })
    return { results, changes }
  })

  const claim = Effect.fnUntraced(function* (keys: ReadonlyArray<RowKey>, now: number) {
    const begunAt = monotonic()
    const rows = yield* sql<{
      seq: number
      run: number
      due_at: number
      order_id: string
      user_id: string
      attempts: number
      started_at: number
      round: number
      traceparent: string | null
    }>`
      UPDATE orders
      SET
        status = ${transitions.claim.to}, run = run + 1, attempts = attempts + 1,
        started_at = ${now}, finished_at = NULL
      WHERE ${statusIs(transitions.claim.from[0])} AND seq IN (SELECT value FROM json_each(${JSON.stringify(keys)}))
      RETURNING seq, run, due_at, round, traceparent, ${orderColumns}`
    const claims = new Map<RowKey, Claim>()
    for (const row of rows) {
      const order = yield* decodeOrderRow(row)
      const { round, run, seq: key } = row
      const traceparent = Option.fromNullable(row.traceparent)
      claims.set(key, { key, order, run, attempt: order.attempts, round, traceparent, begunAt })
    }
    return {
      results: keys.map((key) => {
        const claim = claims.get(key)
        return claim ? Result.Claimed({ claim }) : Result.Unchanged()
      }),
      changes: rows.map((row) =>
        change(row, transitions.claim.from[0], transitions.claim.to, row.started_at, row.due_at)
      )
    }
  })

  /** Where an order that was claimed stood in line: it was due then, and is so by a clock that was set back since. */
  const stillDue = (now: number) => sql`min(orders.due_at, ${now})`

  const waits = sql.literal(`'${transitions.release.to}'`)

  const record = Effect.fnUntraced(function* (records: ReadonlyArray<CommandOf<"Record">>, now: number) {
    const rows = yield* sql<{
      seq: number
      order_id: string
      user_id: string
      attempts: number
      status: Status
      finished_at: number | null
      took: number
    }>`
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
        due_at = COALESCE(${now} + done.wait, ${stillDue(now)}), wait = COALESCE(done.wait, orders.wait),
        finished_at = CASE WHEN done.status <> ${waits} THEN done.at END,
        started_at = CASE WHEN done.status <> ${waits} THEN min(started_at, done.at) END,
        took = CASE WHEN done.status <> ${waits} THEN done.took END,
        result = done.result,
        last_error = CASE done.uncounted WHEN 0 THEN done.last_error ELSE orders.last_error END
      FROM done
      WHERE orders.seq = done.seq AND orders.run = done.run AND +orders.${statusIs(transitions.complete.from[0])}
      RETURNING seq, order_id, user_id, attempts, status, finished_at, COALESCE(took, 0) AS took`
    const recorded = new Set(rows.map((row) => row.seq))
    return {
      results: records.map(({ key }) => (recorded.has(key) ? Result.Recorded() : Result.Unchanged())),
      changes: rows.map((row) => {
        const finishedAt = row.finished_at ?? now
        return change(row, transitions.complete.from[0], row.status, finishedAt, finishedAt - row.took)
      })
    }
  })

  const release = Effect.fnUntraced(function* ({ key }: CommandOf<"Release">, now: number) {
    const rows = yield* sql<{ seq: number; order_id: string; user_id: string; attempts: number }>`
      UPDATE orders
      SET status = ${transitions.release.to}, attempts = attempts - 1, started_at = NULL, due_at = ${stillDue(now)}
      WHERE ${statusIs(transitions.release.from[0])} AND ${Option.match(key, { onNone: () => sql`TRUE`, onSome: (key) => sql`seq = ${key}` })}
      RETURNING seq, order_id, user_id, attempts`
    return {
      results: [Result.Released({ count: rows.length })],
      changes: rows.map((row) => change(row, transitions.release.from[0], transitions.release.to, now, now))
    }
  })

  /** The rows of the index that was made for it, so that what is not removed is not read. */
  const isPrunable = sql.literal(`status IN (${prunable.map((status) => `'${status}'`).join(", ")})`)

  const prune = Effect.fnUntraced(function* ({ asOf, before, limit }: CommandOf<"Prune">) {
    const old = yield* sql<{ seq: number }>`
      SELECT seq, ${orderColumns} FROM orders INDEXED BY orders_prunable
      WHERE ${isPrunable} AND finished_at < ${before.epochMillis}
      ORDER BY finished_at, seq
      LIMIT ${limit}`
    yield* sql`UPDATE totals SET retention_at = ${asOf.epochMillis}`
    if (old.length > 0) {
      const records = yield* Effect.forEach(old, (row) => Effect.map(decodeOrderRow(row), recordOf))
      yield* sql`
        INSERT INTO pruned (order_id, fingerprint, status, finished_at)
        SELECT value ->> 'order_id', value ->> 'fingerprint', value ->> 'status', value ->> 'finished_at'
        FROM json_each(${encodePruned(records)})`
      const keys = JSON.stringify(old.map((row) => row.seq))
      yield* sql`DELETE FROM orders WHERE seq IN (SELECT value FROM json_each(${keys}))`
    }
    return { results: [Result.Pruned({ count: old.length })], changes: [] }
  })

  const rebase = Effect.fnUntraced(function* ({ after, by, limit, until }: CommandOf<"Rebase">, now: number) {
    /** By the index that moving them leaves as it is. */
    const line = sql.literal("orders INDEXED BY orders_status")
    const waiting = sql`${statusIs(transitions.claim.from[0])} AND seq > ${after}`
    const [edge] = yield* sql<{ seq: number }>`
      SELECT seq FROM ${line} WHERE ${waiting} AND seq <= ${until} ORDER BY seq LIMIT 1 OFFSET ${limit - 1}`
    const end = edge?.seq ?? until
    // Set back, what is due or was decided since stays as it is; and what became due by the clock as it was, is due now.
    const moved = sql`min(due_at + ${by}, ${now} + wait)`
    const dueAt = by > 0 ? moved : sql`max(${now}, ${moved})`
    const isConcerned = by > 0 ? sql`TRUE` : sql`due_at > ${now} AND due_at > ${now} + wait`
    yield* sql`UPDATE ${line} SET due_at = ${dueAt} WHERE ${waiting} AND seq <= ${end} AND ${isConcerned}`
    const [changed] = yield* sql<{ count: number }>`SELECT changes() AS count`
    const next = end < until ? Option.some(end) : Option.none()
    return { results: [Result.Rebased({ count: changed?.count ?? 0, next })], changes: [] }
  })

  const recover = Effect.fnUntraced(function* (maxAttempts: number, now: number) {
    const isLost = sql`attempts >= ${maxAttempts} AND losses >= ${suspectLosses}`
    const rows = yield* sql<{ seq: number; order_id: string; user_id: string; attempts: number; status: Status }>`
      UPDATE orders
      SET
        losses = losses + 1, due_at = ${stillDue(now)},
        status = CASE WHEN ${isLost} THEN ${transitions.fail.to} ELSE ${transitions.release.to} END,
        started_at = CASE WHEN ${isLost} THEN min(started_at, ${now}) END,
        finished_at = CASE WHEN ${isLost} THEN ${now} END,
        last_error = json_object(
          'code', ${workerLost.code}, 'message', ${workerLost.message}, 'attempt', attempts, 'at', ${DateTime.formatIso(DateTime.unsafeMake(now))}
        )
      WHERE ${statusIs(transitions.release.from[0])}
      RETURNING seq, order_id, user_id, attempts, status`
    const failed = rows.filter((row) => row.status === transitions.fail.to).length
    return {
      results: [Result.Recovered({ pending: rows.length - failed, failed })],
      changes: rows.map((row) => change(row, transitions.release.from[0], row.status, now, now))
    }
  })

  const byId = (id: OrderId) =>
    Effect.map(
      sql<{ seq: number; user_id: string; status: Status }>`
        SELECT seq, ${orderColumns} FROM orders WHERE order_id = ${id}`,
      Arr.head
    )

  const cancel = (id: OrderId, now: number) =>
    act(
      id,
      transitions.cancel.from,
      transitions.cancel.to,
      now,
      sql`finished_at = ${now}, started_at = min(started_at, ${now})`
    )

  const reopened = (now: number) => sql`
    attempts = 0, losses = 0, round = round + 1, due_at = ${now}, wait = 0, started_at = NULL, finished_at = NULL,
    took = NULL, result = NULL`

  const reopen = (id: OrderId, now: number) =>
    act(id, transitions.reopen.from, transitions.reopen.to, now, reopened(now))

  /** Changes one order by its id, if it is in one of the statuses. */
  const act = Effect.fnUntraced(function* (
    id: OrderId,
    from: ReadonlyArray<Status>,
    to: Status,
    now: number,
    set: Statement.Fragment
  ) {
    const found = yield* byId(id)
    if (Option.isNone(found)) return { results: [Result.Missing()], changes: [] }
    const before = found.value
    const changed = from.includes(before.status)
    if (changed) yield* sql`UPDATE orders SET status = ${to}, ${set} WHERE seq = ${before.seq}`
    const row = yield* Effect.flatten(byId(id)).pipe(Effect.orDie)
    const order = yield* decodeOrderRow(row)
    const attempts = order.attempts
    return {
      results: [Result.Acted({ order, changed })],
      changes: changed ? [change({ ...before, order_id: id, attempts }, before.status, to, now, now)] : []
    }
  })

  const reopenMany = Effect.fnUntraced(function* ({ filter, keys }: CommandOf<"ReopenMany">, now: number) {
    const status = reopenable(filter)
    if (Option.isNone(status)) return { results: [Result.Reopened({ count: 0 })], changes: [] }
    const hasError = filter.error_code === undefined ? sql`TRUE` : sql`error_code = ${filter.error_code}`
    const rows = yield* sql<{ seq: number; order_id: string; user_id: string; attempts: number }>`
      UPDATE orders
      SET status = ${transitions.reopen.to}, ${reopened(now)}
      WHERE seq IN (SELECT value FROM json_each(${JSON.stringify(keys)})) AND +status = ${status.value} AND ${hasError}
      RETURNING seq, order_id, user_id, attempts`
    return {
      results: [Result.Reopened({ count: rows.length })],
      changes: rows.map((row) => change(row, status.value, transitions.reopen.to, now, now))
    }
  })

  const readTotals = (rows: ReadonlyArray<Totals>) =>
    Option.match(Arr.head(rows), {
      onNone: () => Effect.dieMessage("The table `totals` has lost its row"),
      onSome: Effect.succeed
    })
  const totalsColumns = sql.literal(`
    pending AS Pending, processing AS Processing, completed AS Completed, failed AS Failed, cancelled AS Cancelled,
    processing_ms AS processingMillis`)

  const addToTotals = (changes: ReadonlyArray<OrderChange>) => {
    const added = addTo(noTotals, changes)
    return Effect.flatMap(
      sql<Totals>`
        UPDATE totals
        SET
          pending = pending + ${added.Pending}, processing = processing + ${added.Processing},
          completed = completed + ${added.Completed}, failed = failed + ${added.Failed},
          cancelled = cancelled + ${added.Cancelled}, processing_ms = processing_ms + ${added.processingMillis}
        RETURNING ${totalsColumns}`,
      readTotals
    )
  }

  /** Whether the last transaction could not be written. */
  let failed = false

  /** Other bytes each time, for SQLite writes no page that stays the same; after a failure, room for any order. */
  const probe = Effect.suspend(() => sql`UPDATE probe SET filler = randomblob(${failed ? largeProbe : smallProbe})`)

  /** For kinds that come one at a time, and so need no statement for many. */
  const joined = <C, E>(commands: ReadonlyArray<C>, run: (command: C) => Effect.Effect<Done, E>) =>
    Effect.map(Effect.forEach(commands, run), (done) => ({
      results: done.flatMap((_) => _.results),
      changes: done.flatMap((_) => _.changes)
    }))

  const run = (group: Arr.NonEmptyReadonlyArray<Command>, now: number): Effect.Effect<Done, SqlError | ParseError> => {
    switch (group[0]._tag) {
      case "Insert":
        return insert(group.filter(Command.$is("Insert")), now)
      case "Claim":
        return claim(
          group.filter(Command.$is("Claim")).map((command) => command.key),
          now
        )
      case "Record":
        return record(group.filter(Command.$is("Record")), now)
      case "Release":
        return joined(group.filter(Command.$is("Release")), (command) => release(command, now))
      case "Cancel":
        return joined(group.filter(Command.$is("Cancel")), ({ order_id }) => cancel(order_id, now))
      case "Reopen":
        return joined(group.filter(Command.$is("Reopen")), ({ order_id }) => reopen(order_id, now))
      case "ReopenMany":
        return joined(group.filter(Command.$is("ReopenMany")), (command) => reopenMany(command, now))
      case "Prune":
        return joined(group.filter(Command.$is("Prune")), prune)
      case "Rebase":
        return joined(group.filter(Command.$is("Rebase")), (command) => rebase(command, now))
      case "Recover":
        return joined(group.filter(Command.$is("Recover")), ({ maxAttempts }) => recover(maxAttempts, now))
      case "Probe":
        return Effect.as(probe, { results: group.map(() => Result.Probed()), changes: [] })
    }
  }

  const write = Effect.fnUntraced(function* (commands: Arr.NonEmptyReadonlyArray<Command>) {
    const now = yield* Clock.currentTimeMillis
    const results: Array<Result> = []
    const changes: Array<OrderChange> = []
    let totals = noTotals
    for (const group of groups(commands)) {
      const done = yield* run(group, now)
      results.push(...done.results)
      changes.push(...done.changes)
      if (Arr.isNonEmptyReadonlyArray(done.changes)) totals = yield* addToTotals(done.changes)
    }
    return {
      results,
      commit: Arr.isNonEmptyReadonlyArray(changes) ? Option.some({ changes, totals }) : Option.none()
    }
  })

  const service: Context.Tag.Service<OrdersRepo> = {
    write: (commands) =>
      Effect.onExit(file.guarded(orUnavailable(Sql.transaction(sql, write(commands)))), (exit) =>
        Effect.sync(() => {
          failed = Exit.isFailure(exit)
        })
      ),

    fault: file.fault,

    find: (id) =>
      sql`SELECT ${orderColumns} FROM orders WHERE order_id = ${id}`.pipe(
        Effect.flatMap((rows) => Effect.transposeMapOption(Arr.head(rows), (row) => decodeOrderRow(row))),
        orUnavailable
      ),

    findPruned: (id) => orUnavailable(Effect.map(prunedOf([id]), Arr.head)),

    window: Effect.fnUntraced(function* (lane: Lane, limit: number) {
      const now = yield* Clock.currentTimeMillis
      const rows = yield* sql<{ seq: number; due_at: number; ready: 0 | 1 }>`
        SELECT seq, due_at, due_at <= ${now} AS ready
        FROM ${lanes[lane].front}
        WHERE ${statusIs(transitions.claim.from[0])} AND ${lanes[lane].isIn}
        ORDER BY due_at, seq
        LIMIT ${limit}`
      return {
        ready: rows.filter((row) => row.ready === 1).map((row) => row.seq),
        nextDueAt: Option.map(
          Arr.findFirst(rows, (row) => row.ready === 0),
          (row) => row.due_at
        ),
        more: rows.length === limit && rows.every((row) => row.ready === 1)
      }
    }, orUnavailable),

    firstDueAt: Effect.gen(function* () {
      const firstOf = ({ front, isIn }: (typeof lanes)[Lane]) => sql<{ due_at: number }>`
        SELECT due_at FROM ${front}
        WHERE ${statusIs(transitions.claim.from[0])} AND ${isIn}
        ORDER BY due_at
        LIMIT 1`
      const rows = [...(yield* firstOf(lanes.open)), ...(yield* firstOf(lanes.suspect))]
      return Option.map(Option.liftPredicate(rows, Arr.isNonEmptyArray), (rows) =>
        Math.min(...rows.map((row) => row.due_at))
      )
    }).pipe(orUnavailable),

    list: (filter, before, limit, look = defaultLook) =>
      Effect.gen(function* () {
        const range = { low: 1, high: Option.getOrElse(before, () => Number.MAX_SAFE_INTEGER) - 1 }
        const { keys, next } = yield* lookAt(filter, range, "DESC", limit, look)
        const rows = yield* sql<{ seq: number }>`
          SELECT seq, ${orderColumns} FROM orders
          WHERE seq IN (SELECT value FROM json_each(${JSON.stringify(keys)}))
          ORDER BY seq DESC`
        const found = yield* Effect.forEach(rows, (row) =>
          Effect.map(decodeOrderRow(row), (order) => ({ key: row.seq, order }))
        )
        return { found, next }
      }).pipe(orUnavailable),

    reopenable: (filter, after, until, limit, look = defaultLook) =>
      Option.match(reopenable(filter), {
        onNone: () => Effect.succeed({ found: [], next: Option.none() }),
        onSome: (status) =>
          lookAt({ ...filter, status }, { low: after + 1, high: until }, "ASC", limit, look).pipe(
            Effect.map(({ keys, next }) => ({ found: keys, next })),
            orUnavailable
          )
      }),

    failures: orUnavailable(failures),

    retentionTime: sql<{ time: number | null }>`
      SELECT COALESCE(retention_at, (SELECT accepted_at FROM orders ORDER BY seq DESC LIMIT 1)) AS time
      FROM totals`.pipe(
      Effect.map((rows) => Option.map(Option.fromNullable(rows[0]?.time), DateTime.unsafeMake)),
      orUnavailable
    ),

    totals: sql<Totals>`SELECT ${totalsColumns} FROM totals`.pipe(Effect.flatMap(readTotals), orUnavailable)
  }
  return service
})

/** In the SQL database of `SqlClient`. */
export const layer = Layer.effect(OrdersRepo, make)
