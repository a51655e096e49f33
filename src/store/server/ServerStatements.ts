import * as SqlClient from "@effect/sql/SqlClient"
import { Deferred, Effect, Layer } from "effect"
import { StorageUnavailable } from "../../order/Order.ts"
import { Statements } from "../Statements.ts"
import type { Dialect } from "../sql/Dialect.ts"
import { sqlStatements } from "../sql/SqlStatements.ts"
import { makeOrUnavailable, type ServerErrors } from "./ServerErrors.ts"
import { ServerWriter } from "./Writer.ts"

/** What the repository needs of a database on a server. Nothing is written once another process has taken it over. */
export const layer = (dialect: (sql: SqlClient.SqlClient) => Dialect, errors: ServerErrors) =>
  Layer.effect(
    Statements,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { fault, transaction } = yield* ServerWriter
      const unavailable = yield* makeOrUnavailable(errors)
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
        ...sqlStatements(sql, dialect(sql)),
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
