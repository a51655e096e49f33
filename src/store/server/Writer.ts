import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Context, Data, Deferred, Effect, Exit, Fiber } from "effect"
import type { ParseError } from "effect/ParseResult"
import { endMillis } from "./Patience.ts"
import { errorCode, type ServerErrors } from "./ServerErrors.ts"

/** Another process writes to the database. */
export class LockTaken extends Data.TaggedError("LockTaken") {}

/** Another version of this service has changed the tables since this one looked at them. */
export class OtherVersion extends Data.TaggedError("OtherVersion") {}

/** A former session of this process still has the lock, and the server has not ended it yet: to be tried again. */
export const formerSession = new SqlError({
  cause: Object.assign(new Error("the server has not ended the last session yet"), { code: "FORMER_SESSION" }),
  message: "Failed to take the lock"
})

/** A session on the server that has the lock which keeps other processes out. */
export interface Session {
  readonly connection: Connection
  /** Begins a transaction. */
  readonly begin: Effect.Effect<unknown, SqlError>
  /** Whether it is not known to have ended. */
  readonly isOpen: () => boolean
  /** Gives it up at once: every statement that waits fails, and so does every later one. */
  readonly abort: (why: string) => void
  /** Ends it in order, or at once if that takes long. */
  readonly end: () => Promise<unknown>
}

/** How a kind of server is written to. */
export interface WriterDriver {
  /** Opens a session that has the lock, or none. */
  readonly open: Effect.Effect<Session, SqlError | ParseError | LockTaken | OtherVersion>
  /** Fails unless the transaction was committed. */
  readonly commit: (connection: Connection) => Effect.Effect<void, SqlError>
  readonly errors: ServerErrors
}

/**
 * The one connection that writes. It has the lock that keeps other processes out, so that the lock and the right to write
 * end together; a connection that was lost is opened again, with the lock, by the next transaction.
 */
export const makeWriter = Effect.fnUntraced(function* ({ commit, errors, open }: WriterDriver) {
  const fault = yield* Deferred.make<string>()
  const turn = yield* Effect.makeSemaphore(1)
  let current: Session | undefined

  const close = Effect.sync(() => {
    current?.abort("closed")
    current = undefined
  })
  const opened = Effect.map(Effect.interruptible(open), (session) => {
    current = session
    return session
  })
  yield* opened
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      if (current?.isOpen()) await current.end()
    })
  )

  const session = Effect.suspend(() => (current?.isOpen() ? Effect.succeed(current) : opened))

  /** Leaves no connection in a transaction, nor one to a server that takes no writes. */
  const rollback = ({ connection, isOpen }: Session, isUnfit: boolean) =>
    isOpen() && !isUnfit ? Effect.catchAllCause(connection.executeRaw("ROLLBACK", []), () => close) : close

  /**
   * Runs the body in one transaction on that connection, and again when it met a deadlock. A COMMIT that fails is a typed
   * error. Nothing of it can be interrupted but the opening of a session, so that this always is in a known state.
   */
  const transaction = <A, E, R>(body: Effect.Effect<A, E, R>) =>
    Effect.flatMap(session, (session) => {
      const { begin, connection } = session
      return begin.pipe(
        Effect.zipRight(Effect.provideService(body, SqlClient.TransactionConnection, [connection, 0])),
        Effect.zipLeft(commit(connection)),
        Effect.tapErrorCause((cause) =>
          rollback(session, cause._tag === "Fail" && errors.isReadOnly(errorCode(cause.error)))
        )
      )
    }).pipe(
      Effect.retry({ while: (error) => errors.isRepeatable(errorCode(error)), times: 10 }),
      turn.withPermits(1),
      Effect.uninterruptible
    )

  /** The same, but when its fiber is interrupted a server that hangs is not waited for: the session is given up soon. */
  const endedInTime = <A, E, R>(body: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const running = yield* Effect.forkDaemon(transaction(body))
      const answered = yield* Effect.exit(Effect.interruptible(Fiber.await(running)))
      if (Exit.isSuccess(answered)) return yield* answered.value
      yield* Fiber.interruptFork(running)
      const timer = setTimeout(() => Effect.runSync(close), endMillis)
      const exit = yield* Fiber.await(running)
      clearTimeout(timer)
      return yield* exit
    }).pipe(Effect.uninterruptible)

  return { transaction, endedInTime, fault }
})

/** The connection that writes. */
export class ServerWriter extends Context.Tag("orders/ServerWriter")<
  ServerWriter,
  Effect.Effect.Success<ReturnType<typeof makeWriter>>
>() {}
