import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Data, Deferred, Effect, Predicate } from "effect"
import type { ParseError } from "effect/ParseResult"
import type * as Pg from "pg"
import { Client, connectionOf } from "./PostgresDriver.ts"
import { isReadOnly, isRepeatable } from "./PostgresErrors.ts"
import { takeLock } from "./SessionLock.ts"

/** Another process writes to the database. */
export class LockTaken extends Data.TaggedError("LockTaken") {}

interface Session {
  readonly client: Client
  readonly connection: Connection
  readonly isOpen: () => boolean
}

/** The server is to notice within half a minute that this machine is gone: until then nobody else gets the lock. */
const prepare = `
  SELECT
    set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false)`

/** Opens a session that has the lock, or none. */
const open = (config: Pg.ClientConfig, name: string): Effect.Effect<Session, SqlError | ParseError | LockTaken> =>
  Effect.suspend(() => {
    const client = new Client(config)
    let isOpen = true
    const lost = () => {
      isOpen = false
    }
    client.on("error", lost)
    client.on("end", lost)
    const connection = connectionOf(client)
    return Effect.tryPromise({
      try: () => client.connect(),
      catch: (cause) => new SqlError({ cause, message: "Failed to connect" })
    }).pipe(
      Effect.zipRight(connection.execute(prepare, [], undefined)),
      Effect.zipRight(takeLock(connection, name)),
      Effect.filterOrFail(
        (isTaken) => isTaken,
        () => new LockTaken()
      ),
      Effect.as({ client, connection, isOpen: () => isOpen }),
      Effect.onError(() => Effect.sync(() => client.abort("given up")))
    )
  })

/**
 * The one connection that writes. It has the lock that keeps other processes out, so that the lock and the right to write
 * end together; a connection that was lost is opened again, with the lock, by the next transaction.
 */
export const makeWriter = Effect.fnUntraced(function* (config: Pg.ClientConfig, name: string) {
  const fault = yield* Deferred.make<string>()
  const turn = yield* Effect.makeSemaphore(1)
  let current: Session | undefined

  const close = Effect.sync(() => {
    current?.client.abort("closed")
    current = undefined
  })
  const opened = Effect.map(open(config, name), (session) => {
    current = session
    return session
  })
  yield* opened
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      if (current?.isOpen()) await current.client.end()
    })
  )

  const session = Effect.suspend(() => (current?.isOpen() ? Effect.succeed(current) : opened))

  const commit = (connection: Connection) =>
    Effect.flatMap(connection.executeRaw("COMMIT", []), (result) =>
      Predicate.hasProperty(result, "command") && result.command === "COMMIT"
        ? Effect.void
        : new SqlError({ cause: new Error("COMMIT did not commit"), message: "Failed to commit" })
    )

  /** Leaves no connection in a transaction, nor one to a server that takes no writes. */
  const rollback = ({ connection, isOpen }: Session, isUnfit: boolean) =>
    isOpen() && !isUnfit ? Effect.catchAllCause(connection.executeRaw("ROLLBACK", []), () => close) : close

  /**
   * Runs the body in one transaction on that connection, and again when it met a deadlock. A COMMIT that fails is a typed
   * error. Nothing of it can be interrupted, so that the connection always is in a known state.
   */
  const transaction = <A, E, R>(body: Effect.Effect<A, E, R>) =>
    Effect.flatMap(session, (session) => {
      const { connection } = session
      return connection.executeRaw("BEGIN", []).pipe(
        Effect.zipRight(Effect.provideService(body, SqlClient.TransactionConnection, [connection, 0])),
        Effect.zipLeft(commit(connection)),
        Effect.tapErrorCause((cause) => rollback(session, cause._tag === "Fail" && isReadOnly(cause.error)))
      )
    }).pipe(Effect.retry({ while: isRepeatable, times: 10 }), turn.withPermits(1), Effect.uninterruptible)

  return { transaction, fault }
})
