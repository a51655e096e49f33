import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Array as Arr, Effect, Exit, Predicate, Runtime } from "effect"
import type { ConnectionOptions, Db, JobInsert, PgBoss } from "pg-boss"
import { atOnce } from "../AtOnce.ts"
import type { Lane } from "../Command.ts"
import { type Job, jobId, ofJobId } from "../Job.ts"

/** Of the suspects one is active in the whole system. */
export const queues = {
  open: { name: "orders", policy: "standard" },
  suspect: { name: "orders-suspect", policy: "singleton" }
} as const satisfies Record<Lane, { readonly name: string; readonly policy: string }>

export const lanes: ReadonlyArray<Lane> = ["open", "suspect"]

/** An order that is to wait for its job. */
export interface Waiting extends Pick<Job, "key" | "round" | "run" | "lane"> {
  /** Milliseconds since 1970; none for at once. */
  readonly dueAt?: number
  /** Whether it stood in line before those that come now, and goes before them. */
  readonly isOlder: boolean
}

const insertOf = ({ dueAt, isOlder, ...job }: Waiting): JobInsert => ({
  id: jobId(job),
  priority: isOlder ? 1 : 0,
  ...(dueAt === undefined ? {} : { startAfter: new Date(dueAt).toISOString() })
})

/** What the engine does only as long as the job is in the hands of the node that was given it with this number of deliveries. */
const attemptOf = (job: Job) => ({ id: jobId(job), retryCount: job.delivery })

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

export const asked = <A>(ask: () => Promise<A>) =>
  Effect.tryPromise({ try: ask, catch: (cause) => new SqlError({ cause, message: "The engine failed" }) })

/** What is asked of pg-boss, on connections of its own or in a transaction. */
export const makeJobs = (boss: PgBoss, schema: string, runtime: Runtime.Runtime<never>) => ({
  /** The table of jobs, and the names under which ours are in it. */
  table: `${schema}.job`,
  names: lanes.map((lane) => queues[lane].name),

  /** Takes jobs that are due into this node's hands, `count` at most. */
  fetch: (lane: Lane, count: number) =>
    Effect.map(
      asked(() => boss.fetch(queues[lane].name, { batchSize: count })),
      Arr.map(({ id, retryCount }): Job => ({ ...ofJobId(id), lane, delivery: retryCount }))
    ),

  /** Hands on the jobs of nodes that have not been heard of for so long. */
  watch: asked(() => boss.supervise()),

  on: (connection: Connection) => {
    const options: ConnectionOptions = { db: databaseOf(connection, runtime) }
    const byLane = <J extends Pick<Job, "lane">>(
      jobs: ReadonlyArray<J>,
      use: (name: string, jobs: ReadonlyArray<J>) => Promise<unknown>
    ) =>
      Effect.forEach(
        lanes,
        (lane) => {
          const ofLane = jobs.filter((job) => job.lane === lane)
          return Effect.when(
            asked(() => use(queues[lane].name, ofLane)),
            () => ofLane.length > 0
          )
        },
        { discard: true }
      )
    return {
      insert: (orders: ReadonlyArray<Waiting>) =>
        byLane(orders, (name, orders) => boss.insert(name, orders.map(insertOf), { ...options, returnId: false })),
      /** In whichever lane and hands they are. */
      remove: (ids: ReadonlyArray<string>) =>
        ids.length === 0
          ? Effect.void
          : Effect.asVoid(
              atOnce(lanes.map((lane) => asked(() => boss.deleteJob(queues[lane].name, [...ids], options))))
            ),
      touch: (jobs: ReadonlyArray<Job>) => byLane(jobs, (name, jobs) => boss.touch(name, jobs.map(attemptOf), options)),
      /** Makes them free to be fetched, at the place in line that they had. */
      putBack: (jobs: ReadonlyArray<Job>) =>
        byLane(jobs, (name, jobs) => boss.fail(name, jobs.map(attemptOf), null, options))
    }
  }
})

export type Jobs = ReturnType<typeof makeJobs>
