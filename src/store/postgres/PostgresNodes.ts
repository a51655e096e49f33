import * as SqlClient from "@effect/sql/SqlClient"
import { Effect, Option } from "effect"
import type { Status } from "../../order/Order.ts"
import type { RowKey } from "../../order/OrderChange.ts"
import { type NewChange, suspectLosses } from "../Command.ts"
import { jobId } from "../Job.ts"
import type { NodeStatements } from "../Statements.ts"
import type { Engine, Waiting } from "./PgBossEngine.ts"
import { postgresDialect } from "./PostgresDialect.ts"

/** For how long an order may be due, in milliseconds, before a sweep asks where its job is: it was made with the order. */
const unusual = 60_000

interface UnfinishedRow {
  readonly seq: RowKey
  readonly run: number
  readonly due_at: number
  readonly losses: number
  readonly status: Status
}

const waiting = ({ due_at, losses, run, seq }: UnfinishedRow): Waiting => ({
  key: seq,
  run,
  lane: losses < suspectLosses ? "open" : "suspect",
  dueAt: due_at
})

/** The job under which an order of that row waits, or is processed. */
const pointedAt = ({ run, seq, status }: UnfinishedRow) =>
  jobId({ key: seq, run: status === "Processing" ? run - 1 : run })

/** The ids of the jobs of orders that do not wait any more, nor are processed, under them. */
const left = (changes: ReadonlyArray<NewChange>) =>
  changes.flatMap(({ from, key, run, to }) => {
    if (Option.isNone(from)) return []
    if (from.value === "Processing") return [jobId({ key, run: run - 1 })]
    return from.value === "Pending" && to !== "Processing" ? [jobId({ key, run })] : []
  })

/** What is done in a transaction for the engine that hands out orders to nodes. */
export const postgresNodes = (sql: SqlClient.SqlClient, { fetch, names, on, table }: Engine): NodeStatements => {
  const jobs = Effect.flatMap(
    Effect.serviceOption(SqlClient.TransactionConnection),
    Option.match({
      onNone: () => Effect.dieMessage("Jobs are changed in transactions only"),
      onSome: ([connection]) => Effect.succeed(on(connection))
    })
  )
  const columns = sql.literal("seq, run, due_at, losses, status")
  const { anyOf } = postgresDialect(sql)

  /** Gives jobs to those of the orders that are Pending. One that has its job keeps it. */
  const issue = (keys: ReadonlyArray<RowKey>) =>
    keys.length === 0
      ? Effect.void
      : Effect.flatMap(
          sql<UnfinishedRow>`
            SELECT ${columns} FROM orders
            WHERE seq IN ${anyOf.keys(keys)} AND COALESCE(status, '') = 'Pending'`,
          (rows) => Effect.flatMap(jobs, ({ insert }) => insert(rows.map(waiting)))
        )

  const keepJobs: NodeStatements["keepJobs"] = Effect.fnUntraced(function* (changes) {
    const { insert, remove } = yield* jobs
    const last = new Map(changes.map((change) => [change.key, change]))
    const waits = [...last.values()].filter(({ to }) => to === "Pending")
    yield* remove(left(changes))
    yield* insert(waits.filter(({ from }) => Option.isNone(from)).map(({ key, run }) => ({ key, run, lane: "open" })))
    yield* issue(waits.filter(({ from }) => Option.isSome(from)).map(({ key }) => key))
  })

  const unfinished = (status: Status, after: number, limit: number, dueBefore: number) =>
    sql<UnfinishedRow>`
      SELECT ${columns} FROM orders
      WHERE status = ${sql.literal(`'${status}'`)} AND seq > ${after} AND due_at < ${dueBefore}
      ORDER BY status, seq
      LIMIT ${limit}`

  const withoutJob = Effect.fnUntraced(function* (rows: ReadonlyArray<UnfinishedRow>) {
    const ids = JSON.stringify(rows.map(pointedAt))
    const found = yield* sql<{ id: string }>`
      SELECT id::text AS id FROM ${sql.literal(table)}
      WHERE
        name IN ${sql.in(names)} AND state < 'completed'
        AND id IN (SELECT value::uuid FROM json_array_elements_text(${ids}::json) AS given (value))`
    const there = new Set(found.map(({ id }) => id))
    return rows.filter((row) => !there.has(pointedAt(row)))
  })

  return {
    fetch,
    begin: (isOrdered) =>
      Effect.flatMap(
        sql<{ now: number }>`
          SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now
          ${sql.literal(isOrdered ? "FROM totals FOR UPDATE" : "")}`,
        ([row]) =>
          row === undefined ? Effect.dieMessage("The table `totals` has lost its row") : Effect.succeed(row.now)
      ),
    keepJobs,
    touch: (held) => Effect.flatMap(jobs, ({ touch }) => Effect.asVoid(touch(held))),
    takeBack: Effect.fnUntraced(function* (held) {
      const { take } = yield* jobs
      const taken = yield* take(held)
      yield* issue(taken.map(({ key }) => key))
      return taken.map(({ key, run }) => ({ key, run: run + 1 }))
    }),
    sweep: Effect.fnUntraced(function* (after, limit, now) {
      const pending = yield* unfinished("Pending", after, limit, now - unusual)
      const orphans = yield* withoutJob(pending)
      // A job that has ended in the engine's eyes would be in the way of the new one.
      const { insert, remove } = yield* jobs
      yield* remove(orphans.map(pointedAt))
      yield* insert(orphans.map(waiting))
      const running = after > 0 ? [] : yield* unfinished("Processing", 0, limit, Number.MAX_SAFE_INTEGER)
      const lost = yield* withoutJob(running)
      const end = pending.at(-1)?.seq
      return {
        pending: orphans.length,
        lost: lost.map(({ run, seq }) => ({ key: seq, run })),
        next: pending.length === limit && end !== undefined ? Option.some(end) : Option.none()
      }
    })
  }
}
