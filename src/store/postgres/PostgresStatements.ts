import * as SqlClient from "@effect/sql/SqlClient"
import { Deferred, Effect, Layer } from "effect"
import { StorageUnavailable } from "../../order/Order.ts"
import { Statements } from "../Statements.ts"
import { sqlStatements } from "../sql/SqlStatements.ts"
import { PostgresWriter } from "./Postgres.ts"
import { postgresDialect } from "./PostgresDialect.ts"
import { makeOrUnavailable } from "./PostgresErrors.ts"

/** What the repository needs of a database, in PostgreSQL. Nothing is written once another process has taken it over. */
export const layer = Layer.effect(
  Statements,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { fault, transaction } = yield* PostgresWriter
    const unavailable = yield* makeOrUnavailable
    const takenOver = Effect.zipRight(
      Effect.whenEffect(
        Effect.logError(
          "No order is taken until a restart: another process uses the database. Stop both, and start one again."
        ),
        Deferred.succeed(fault, "another process uses the database")
      ),
      new StorageUnavailable({})
    )
    return {
      ...sqlStatements(sql, postgresDialect(sql)),
      reading: unavailable,
      transaction: (body) =>
        Effect.whenEffect(new StorageUnavailable({}), Deferred.isDone(fault)).pipe(
          Effect.zipRight(transaction(body)),
          Effect.catchTag("LockTaken", () => takenOver),
          unavailable
        ),
      fault
    }
  })
)
