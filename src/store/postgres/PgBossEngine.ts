import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Array as Arr, Effect, Exit, Predicate, Runtime, Schema } from "effect"
import type * as Pg from "pg"
import type { ConnectionOptions, Db, JobInsert, PgBoss } from "pg-boss"
import { makeLogLimit } from "../../LogLimit.ts"
import { StartupError } from "../../StartupError.ts"
import type { Lane } from "../Command.ts"
import { type Job, jobId, ofJobId } from "../Job.ts"
import { messageOf } from "../server/ServerErrors.ts"
import { makePool } from "./PostgresDriver.ts"

/** For how long the engine's own statements wait for an answer, in milliseconds. */
const answerMillis = 10_000

/** The version that this service was tested with. */
export const engineVersion = "12.38.0"

/** Seconds without a sign of a node after which its jobs are handed to others: the least that pg-boss takes. */
const heartbeatSeconds = 10
const superviseSeconds = 2

/**
 * How often a job is handed out is no matter of its order, whose attempts count on its row. A job waits for as long as it
 * takes. It may be in a node's hands for a day, the most that pg-boss allows.
 */
const queueOptions = {
  retryLimit: 1_000_000,
  retryDelay: 0,
  heartbeatSeconds,
  expireInSeconds: 86_400,
  retentionSeconds: 10 * 365 * 86_400,
  deleteAfterSeconds: 3600
}

/** Of the suspects one is active in the whole system. */
const queues = {
  open: { name: "orders", policy: "standard" },
  suspect: { name: "orders-suspect", policy: "singleton" }
} as const satisfies Record<Lane, { readonly name: string; readonly policy: string }>

const lanes = Object.keys(queues) as ReadonlyArray<Lane>

const isSqlError = (cause: unknown): cause is SqlError => cause instanceof SqlError

/** For the engine's statements in a transaction of ours. It is to see the errors of the driver as they are. */
const databaseOf = (connection: Connection, runtime: Runtime.Runtime<never>): Db => ({
  executeSql: async (text, values = []) => {
    const exit = await Runtime.runPromiseExit(runtime)(connection.executeRaw(text, values))
    if (Exit.isSuccess(exit)) {
      const result: unknown = exit.value
      return Predicate.hasProperty(result, "rows") && Array.isArray(result.rows) ? { rows: result.rows } : { rows: [] }
    }
    throw exit.cause._tag === "Fail" && isSqlError(exit.cause.error) ? exit.cause.error.cause : exit.cause
  }
})

const asked = <A>(ask: () => Promise<A>) =>
  Effect.tryPromise({ try: ask, catch: (cause) => new SqlError({ cause, message: "The engine failed" }) })

/** The ids of the jobs that a call of the engine changed: others had gone, or were in other hands. */
const changedBy = (ask: () => Promise<unknown>) =>
  Effect.map(Effect.flatMap(asked(ask), decodeSettled), ({ settled }) => new Set(settled))
const decodeSettled = Schema.decodeUnknown(Schema.Struct({ settled: Schema.Array(Schema.String) }))

export const loadEngine = Effect.tryPromise({
  try: () => import("pg-boss"),
  catch: () =>
    new StartupError({
      lines: [`QUEUE: pg-boss is not installed; npm install pg-boss@${engineVersion}, or leave QUEUE out`]
    })
})

const attemptOf = (job: Job) => ({ id: jobId(job), retryCount: job.delivery })

const byLane = <A, E>(jobs: ReadonlyArray<Job>, use: (lane: Lane, jobs: ReadonlyArray<Job>) => Effect.Effect<A, E>) =>
  Effect.forEach(
    lanes.filter((lane) => jobs.some((job) => job.lane === lane)),
    (lane) =>
      use(
        lane,
        jobs.filter((job) => job.lane === lane)
      )
  )

/** An order that is to wait for its job. */
export interface Waiting {
  readonly key: number
  readonly run: number
  readonly lane: Lane
  /** Milliseconds since 1970; none for at once. */
  readonly dueAt?: number
}

const insertOf = ({ dueAt, key, run }: Waiting): JobInsert => ({
  id: jobId({ key: key as Job["key"], run }),
  ...(dueAt === undefined ? {} : { startAfter: new Date(dueAt).toISOString() })
})

/** What is asked of pg-boss, on connections of its own or in a transaction. */
const operations = (boss: PgBoss, schema: string, runtime: Runtime.Runtime<never>) => ({
  /** The table of jobs, and the names under which ours are in it. */
  table: `${schema}.job`,
  names: lanes.map((lane) => queues[lane].name),

  fetch: (lane: Lane, count: number) =>
    Effect.map(
      asked(() => boss.fetch(queues[lane].name, { batchSize: count })),
      Arr.map(({ id, retryCount }): Job => {
        const { key, run } = ofJobId(id)
        return { key: key as Job["key"], run, lane, delivery: retryCount }
      })
    ),

  on: (connection: Connection) => {
    const options: ConnectionOptions = { db: databaseOf(connection, runtime) }
    return {
      insert: (orders: ReadonlyArray<Waiting>) =>
        Effect.forEach(
          lanes,
          (lane) => {
            const jobs = orders.filter((order) => order.lane === lane).map(insertOf)
            return Effect.when(
              asked(() => boss.insert(queues[lane].name, jobs, { ...options, returnId: false })),
              () => jobs.length > 0
            )
          },
          { discard: true }
        ),
      /** In whichever lane they are. */
      remove: Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
        let left = ids
        for (const lane of lanes) {
          if (left.length === 0) return
          const gone = yield* changedBy(() => boss.deleteJob(queues[lane].name, [...left], options))
          left = left.filter((id) => !gone.has(id))
        }
      }),
      touch: (jobs: ReadonlyArray<Job>) =>
        byLane(jobs, (lane, jobs) => asked(() => boss.touch(queues[lane].name, jobs.map(attemptOf), options))),
      /** Removes those that are still in this node's hands: them. */
      take: (jobs: ReadonlyArray<Job>) =>
        Effect.map(
          byLane(jobs, (lane, jobs) =>
            Effect.map(
              changedBy(() => boss.deleteJob(queues[lane].name, jobs.map(attemptOf), options)),
              (ids) => jobs.filter((job) => ids.has(jobId(job)))
            )
          ),
          Arr.flatten
        )
    }
  }
})

export type Engine = ReturnType<typeof operations>

/** Where the engine has its tables, beside those of ours. */
export const engineSchema = (ownSchema: string) =>
  ownSchema === "public" ? "pgboss" : `pgboss_${ownSchema}`.slice(0, 50)

/**
 * pg-boss, in a schema of its own beside ours, until the scope ends. Each node watches over the jobs of all, so those of a
 * node that was killed are handed on as long as one lives.
 */
export const makeEngine = Effect.fnUntraced(function* (config: Pg.ClientConfig, ownSchema: string) {
  const { PgBoss } = yield* loadEngine
  const runtime = yield* Effect.runtime()
  const limited = yield* makeLogLimit
  // The service's own way through its tables does not fit the engine's.
  const pool = yield* makePool({ ...config, query_timeout: answerMillis }, 2, "SELECT set_config('jit', 'off', false)")
  const schema = engineSchema(ownSchema)
  const boss = new PgBoss({
    // A connection that met an error is closed, and with it the transaction that the engine may have begun.
    db: { executeSql: (text, values) => pool.query(text, values) },
    schema,
    schedule: false,
    registerInstance: false,
    superviseIntervalSeconds: superviseSeconds,
    monitorIntervalSeconds: superviseSeconds
  })
  boss.on("error", (error) =>
    Runtime.runFork(runtime)(limited("engine", Effect.logWarning(`The engine of jobs reports: ${messageOf(error)}`)))
  )
  yield* Effect.acquireRelease(
    asked(() => boss.start()),
    () =>
      Effect.ignore(
        Effect.timeout(
          asked(() => boss.stop({ graceful: false })),
          "2 seconds"
        )
      )
  )
  for (const lane of lanes) {
    const { name, policy } = queues[lane]
    yield* asked(() => boss.createQueue(name, { ...queueOptions, policy }))
    yield* asked(() => boss.updateQueue(name, queueOptions))
  }
  return operations(boss, schema, runtime)
})
