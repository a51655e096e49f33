import * as SqlClient from "@effect/sql/SqlClient"
import { Effect, Random } from "effect"
import { isBusy } from "./SqliteErrors.ts"

const shortWhile = Effect.flatMap(Random.nextIntBetween(5, 100), Effect.sleep)

/**
 * Runs the body in one immediate transaction. Unlike `sql.withTransaction`, a COMMIT that fails is a typed error, and
 * whatever failed, the connection is never left inside the transaction. While another process holds the write lock
 * it tries again, for ever: the caller limits the time. Only that waiting can be interrupted.
 */
export const transaction = <A, E, R>(sql: SqlClient.SqlClient, body: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const connection = yield* sql.reserve
    const run = (statement: string) => connection.execute(statement, [], undefined)
    return yield* run("BEGIN IMMEDIATE").pipe(
      Effect.zipRight(Effect.provideService(body, SqlClient.TransactionConnection, [connection, 0])),
      Effect.zipLeft(run("COMMIT")),
      Effect.onError(() => Effect.ignore(run("ROLLBACK")))
    )
  }).pipe(
    Effect.scoped,
    Effect.retry({
      while: (error) => (isBusy(error) ? Effect.as(Effect.interruptible(shortWhile), true) : Effect.succeed(false))
    }),
    Effect.uninterruptible
  )
