import * as Reactivity from "@effect/experimental/Reactivity"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Predicate } from "effect"
import { monotonicMillis } from "../../MonotonicClock.ts"
import { sqlOfSession } from "../server/ServerSql.ts"
import type { Session, WriterDriver } from "../server/Writer.ts"
import { refuseOtherVersion } from "./NodesSetUp.ts"
import { checkOwnSession } from "./Pooler.ts"
import { postgresCompiler } from "./PostgresCompiler.ts"
import { byIndices, Client, type ClientConfig, connectionOf } from "./PostgresDriver.ts"
import { postgresErrors } from "./PostgresErrors.ts"
import { takeLock } from "./SessionLock.ts"

/** The server is to notice within half a minute that this machine is gone: until then nobody else gets the lock. */
const prepare = `
  SELECT
    set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false)`

/** A node that stands still within a transaction is not to hold up the others for longer. */
const yielding = "SELECT set_config('idle_in_transaction_session_timeout', '3000', false)"

const connect = (client: Client) =>
  Effect.tryPromise({
    try: () => client.connect(),
    catch: (cause) => new SqlError({ cause, message: "Failed to connect" })
  })

/** One that is ended with the scope. */
const anotherConnection = (config: ClientConfig) =>
  Effect.suspend(() => {
    const client = new Client(config)
    return Effect.acquireRelease(Effect.as(connect(client), connectionOf(client)), () =>
      Effect.promise(() => client.end())
    )
  })

/** For how many milliseconds what is prepared is run by the same plan. */
const plannedFor = 2000

/**
 * Begins a transaction. What was planned while a table was small may read all of it, and would go on so while the table grows,
 * until autovacuum has counted its rows: so it is planned anew every few moments.
 */
const begin = (connection: Connection, monotonic: () => number) => {
  let plannedAt = monotonic()
  return Effect.suspend(() => {
    const now = monotonic()
    const isOld = now - plannedAt >= plannedFor
    if (isOld) plannedAt = now
    return Effect.zipRight(
      isOld ? connection.executeRaw("DISCARD PLANS", []) : Effect.void,
      connection.executeRaw("BEGIN", [])
    )
  })
}

const open = (config: ClientConfig, name: string, isShared: boolean): WriterDriver["open"] =>
  Effect.flatMap(monotonicMillis, (monotonic) => {
    // Where others wait until this transaction ends, it does not wait for each answer before it asks on.
    const client = new Client({ ...config, pipeline: isShared })
    let isOpen = true
    const lost = () => {
      isOpen = false
    }
    client.on("error", lost)
    client.on("end", lost)
    const connection = connectionOf(client)
    const abort = (why: string) => client.abort(why)
    return connect(client).pipe(
      Effect.zipRight(checkOwnSession(client, connection, anotherConnection(config))),
      Effect.zipRight(connection.execute(prepare, [], undefined)),
      Effect.zipLeft(isShared ? connection.execute(yielding, [], undefined) : Effect.void),
      Effect.zipRight(connection.execute(byIndices, [], undefined)),
      Effect.zipRight(takeLock(connection, name, isShared)),
      Effect.as({
        connection,
        begin: begin(connection, monotonic),
        isOpen: () => isOpen,
        abort,
        end: () => client.end()
      }),
      Effect.onError(() => Effect.sync(() => abort("given up")))
    )
  })

/** In a transaction that an error has ended, COMMIT is a ROLLBACK that does not fail. */
const commit = (connection: Connection) =>
  Effect.flatMap(connection.executeRaw("COMMIT", []), (result) =>
    Predicate.hasProperty(result, "command") && result.command === "COMMIT"
      ? Effect.void
      : new SqlError({ cause: new Error("COMMIT did not commit"), message: "Failed to commit" })
  )

/**
 * How PostgreSQL is written to. `name` is the one that the server shows the session under, and `isShared` whether other
 * nodes may write too.
 */
export const postgresDriver = (config: ClientConfig, name: string, isShared: boolean): WriterDriver => {
  let wasOpen = false
  const check = ({ abort, connection }: Session) =>
    sqlOfSession(connection, postgresCompiler).pipe(
      Effect.flatMap(refuseOtherVersion),
      Effect.onError(() => Effect.sync(() => abort("given up"))),
      Effect.provide(Reactivity.layer)
    )
  const opened = Effect.tap(open(config, name, isShared), (session) =>
    Effect.zipRight(
      Effect.when(check(session), () => isShared && wasOpen),
      Effect.sync(() => {
        wasOpen = true
      })
    )
  )
  return { open: opened, commit, errors: postgresErrors }
}
