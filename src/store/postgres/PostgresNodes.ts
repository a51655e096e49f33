import * as SqlClient from "@effect/sql/SqlClient"
import { Array as Arr, Effect, Option } from "effect"
import { type Status, transitions } from "../../order/Order.ts"
import type { RowKey } from "../../order/OrderChange.ts"
import { atOnce, bothAtOnce } from "../AtOnce.ts"
import { type NewChange, suspectLosses } from "../Command.ts"
import { type Job, jobId } from "../Job.ts"
import type { NodeStatements } from "../Statements.ts"
import { onlyRow } from "../sql/Totals.ts"
import type { Jobs, Waiting } from "./PgBossJobs.ts"
import { postgresDialect } from "./PostgresDialect.ts"
import { serverMillis } from "./ServerClock.ts"

interface UnfinishedRow {
  readonly seq: RowKey
  readonly round: number
  readonly run: number
  readonly due_at: number
  readonly losses: number
  readonly status: Status
}

const waiting = ({ due_at, losses, round, run, seq }: UnfinishedRow, isOlder: boolean): Waiting => ({
  key: seq,
  round,
  run,
  lane: losses < suspectLosses ? "open" : "suspect",
  dueAt: due_at,
  isOlder
})

/** The job under which an order of that row waits, or is processed. */
const pointedAt = ({ round, run, seq, status }: UnfinishedRow) =>
  jobId({ key: seq, round, run: status === "Processing" ? run - 1 : run })

/** The ids of the jobs of orders that do not wait any more, nor are processed, under them. */
const left = (changes: ReadonlyArray<NewChange>) =>
  changes.flatMap(({ from, key, round, run, to }) => {
    if (Option.isNone(from)) return []
    if (from.value === "Processing") return [jobId({ key, round, run: run - 1 })]
    return from.value === "Pending" && to !== "Processing" ? [jobId({ key, round, run })] : []
  })

/** After which the order waits where it stood in line. */
const keepsItsPlace: ReadonlyArray<NewChange["reason"]> = [transitions.lose.reason, transitions.release.reason]

/** What is done in a transaction for the engine that hands out orders to nodes. */
export const postgresNodes = (sql: SqlClient.SqlClient, { fetch, names, on, table, watch }: Jobs): NodeStatements => {
  const jobs = Effect.flatMap(
    Effect.serviceOption(SqlClient.TransactionConnection),
    Option.match({
      onNone: () => Effect.dieMessage("Jobs are changed in transactions only"),
      onSome: ([connection]) => Effect.succeed(on(connection))
    })
  )
  const columns = sql.literal("seq, round, run, due_at, losses, status")
  const { anyOf } = postgresDialect(sql)

  const keepJobs: NodeStatements["keepJobs"] = Effect.fnUntraced(function* (changes) {
    const { insert, remove } = yield* jobs
    const last = new Map(changes.map((change) => [change.key, change]))
    const waits = [...last.values()].filter(({ to }) => to === "Pending")
    const [again, fresh] = Arr.partition(waits, ({ from }) => Option.isNone(from))
    yield* atOnce([
      remove(left(changes)),
      insert(fresh.map(({ key, round, run }) => ({ key, round, run, lane: "open", isOlder: false }))),
      issueAgain(again)
    ])
  })

  /** Gives jobs to orders that wait once more: under what conditions, their rows say. */
  const issueAgain = Effect.fnUntraced(function* (changes: ReadonlyArray<NewChange>) {
    if (changes.length === 0) return
    const rows = yield* sql<UnfinishedRow>`
      SELECT ${columns} FROM orders WHERE seq IN ${anyOf.keys(changes.map(({ key }) => key))}`
    const older = new Set(changes.filter(({ reason }) => keepsItsPlace.includes(reason)).map(({ key }) => key))
    const { insert } = yield* jobs
    yield* insert(rows.map((row) => waiting(row, older.has(row.seq))))
  })

  /** Of jobs, the ids and numbers of deliveries of those that wait, or are in a node's hands. */
  const findJobs = (ids: ReadonlyArray<string>) =>
    sql<{ id: string; delivery: number; is_held: boolean }>`
      SELECT found.id::text AS id, retry_count AS delivery, state = 'active' AS is_held
      FROM json_array_elements_text(${JSON.stringify(ids)}::json) AS given (value)
      CROSS JOIN LATERAL (
        SELECT id, retry_count, state FROM ${sql.literal(table)} AS job
        WHERE name IN ${sql.in(names)} AND job.id = given.value::uuid AND state < 'completed'
        OFFSET 0
      ) AS found`

  const startOf = (isOrdered: boolean) =>
    Effect.map(
      Effect.flatMap(
        sql<{ now: number; last: number }>`
          SELECT ${sql.literal(serverMillis)} AS now, last_change AS last
          FROM totals ${sql.literal(isOrdered ? "FOR UPDATE" : "")}`,
        onlyRow
      ),
      ({ last, now }) => ({ now, lastChange: Option.liftPredicate(last, () => isOrdered) })
    )

  const stillHeld = (jobs: ReadonlyArray<Job>) =>
    jobs.length === 0
      ? Effect.succeed(new Set<Job>())
      : Effect.map(findJobs(jobs.map(jobId)), (found) => {
          const deliveries = new Map(found.filter(({ is_held }) => is_held).map(({ delivery, id }) => [id, delivery]))
          return new Set(jobs.filter((job) => deliveries.get(jobId(job)) === job.delivery))
        })

  /** Orders in that status, and those of them to which no job points. */
  const lookFor = (status: Status, after: number, limit: number) =>
    Effect.gen(function* () {
      const rows = yield* sql<UnfinishedRow>`
        SELECT ${columns} FROM orders
        WHERE status = ${sql.literal(`'${status}'`)} AND seq > ${after}
        ORDER BY status, seq
        LIMIT ${limit}`
      const found = new Set((yield* findJobs(rows.map(pointedAt))).map(({ id }) => id))
      return { rows, orphans: rows.filter((row) => !found.has(pointedAt(row))) }
    })

  return {
    fetch,
    watch,
    begin: (isOrdered, jobs) =>
      Effect.map(bothAtOnce(startOf(isOrdered), stillHeld(jobs)), ([start, held]) => ({ ...start, held })),
    keepJobs,
    touch: (held) => Effect.flatMap(jobs, ({ touch }) => touch(held)),
    putBack: Effect.fnUntraced(function* (held) {
      const { putBack, remove } = yield* jobs
      const rows = yield* sql<UnfinishedRow>`
        SELECT ${columns} FROM orders
        WHERE seq IN ${anyOf.keys(held.map(({ key }) => key))} AND status IN ('Pending', 'Processing')`
      const needed = new Set(rows.map(pointedAt))
      // An order that ended while no node had it left its job behind, which would be fetched for ever.
      const [needless, free] = Arr.partition(held, (job) => needed.has(jobId(job)))
      yield* remove(needless.map(jobId))
      yield* putBack(free)
    }),
    sweep: Effect.fnUntraced(function* (status, after, limit) {
      const look = lookFor(status, after, limit)
      let found = yield* look
      if (found.orphans.length > 0) {
        // What was on its way when it was looked for is there once no other node changes orders.
        yield* startOf(true)
        found = yield* look
      }
      const { orphans, rows } = found
      if (status === "Pending") {
        const { insert, remove } = yield* jobs
        // A job that has ended in the engine's eyes would be in the way of the new one.
        yield* remove(orphans.map(pointedAt))
        yield* insert(orphans.map((row) => waiting(row, true)))
      }
      const end = rows.at(-1)?.seq
      return {
        orphans: orphans.map(({ run, seq }) => ({ key: seq, run })),
        next: rows.length === limit ? Option.fromNullable(end) : Option.none()
      }
    })
  }
}
