import { Effect, Runtime } from "effect"
import type * as Pg from "pg"
import { makeLogLimit } from "../../LogLimit.ts"
import { StartupError } from "../../StartupError.ts"
import { heartbeatSeconds } from "../Job.ts"
import { messageOf } from "../server/ServerErrors.ts"
import { asked, lanes, makeJobs, queues } from "./PgBossJobs.ts"
import { makePool } from "./PostgresDriver.ts"

/** For how long the engine's own statements wait for an answer, in milliseconds. */
const answerMillis = 10_000

/** The version that this service was tested with. */
export const engineVersion = "12.38.0"

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

export const loadEngine = Effect.tryPromise({
  try: () => import("pg-boss"),
  catch: () =>
    new StartupError({
      lines: [`QUEUE: pg-boss is not installed; npm install pg-boss@${engineVersion}, or leave QUEUE out`]
    })
})

/**
 * The service's own way through its tables does not fit the engine's. And a fetch need not be on the disk when it is
 * answered: it is before a claim is that comes of it, and without it the job is fetched again.
 */
const ownWay = "SELECT set_config('jit', 'off', false), set_config('synchronous_commit', 'off', false)"

/** Where the engine has its tables, beside those of ours. */
export const engineSchema = (ownSchema: string) =>
  ownSchema === "public" ? "pgboss" : `pgboss_${ownSchema}`.slice(0, 50)

/** One that does nothing by the clock. */
export const bossOn = ({ PgBoss }: Effect.Effect.Success<typeof loadEngine>, pool: Pg.Pool, schema: string) =>
  new PgBoss({
    // A connection that met an error is closed, and with it the transaction that the engine may have begun.
    db: { executeSql: (text, values) => pool.query(text, values) },
    schema,
    schedule: false,
    supervise: false,
    registerInstance: false,
    monitorIntervalSeconds: 1
  })

/**
 * pg-boss, in a schema of its own beside ours, until the scope ends. It does nothing by the clock: the nodes ask it to watch
 * over the jobs of all, so those of a node that was killed are handed on as long as one lives.
 */
export const makeEngine = Effect.fnUntraced(function* (config: Pg.ClientConfig, ownSchema: string) {
  const engine = yield* loadEngine
  const runtime = yield* Effect.runtime()
  const limited = yield* makeLogLimit
  const pool = yield* makePool({ ...config, query_timeout: answerMillis }, 2, ownWay)
  const schema = engineSchema(ownSchema)
  const boss = bossOn(engine, pool, schema)
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
  return makeJobs(boss, schema, runtime)
})
