import * as SqlClient from "@effect/sql/SqlClient"
import { Deferred, Effect, Layer, Option, type Scope } from "effect"
import { StorageUnavailable } from "../../order/Order.ts"
import type { StartupError } from "../../StartupError.ts"
import { type NodeStatements, type NodeTable, Statements } from "../Statements.ts"
import type { Dialect } from "../sql/Dialect.ts"
import { sqlStatements } from "../sql/SqlStatements.ts"
import { changesOfAll, makeOwnChanges } from "./OwnChanges.ts"
import { makeOrUnavailable, type ServerErrors } from "./ServerErrors.ts"
import { ServerWriter } from "./Writer.ts"

/** What the repository needs of a database on a server. Nothing is written once another process has taken it over. */
export const layer = (
  dialect: (sql: SqlClient.SqlClient) => Dialect,
  errors: ServerErrors,
  nodes: Effect.Effect<
    Option.Option<NodeStatements & NodeTable>,
    StartupError,
    SqlClient.SqlClient | ServerWriter | Scope.Scope
  > = Effect.succeed(Option.none())
) =>
  Layer.scoped(
    Statements,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { endedInTime, fault } = yield* ServerWriter
      const unavailable = yield* makeOrUnavailable(errors)
      const statements = sqlStatements(sql, dialect(sql))
      const engine = yield* nodes
      const own = Option.isSome(engine) ? changesOfAll(statements) : makeOwnChanges(statements)
      const takenOver = (what: string, todo: string) =>
        Effect.zipRight(
          Effect.whenEffect(
            Effect.logError(`No order is taken until a restart: ${what}. ${todo}`),
            Deferred.succeed(fault, what)
          ),
          new StorageUnavailable({})
        )
      return {
        ...statements,
        addToTotals: own.addToTotals,
        reading: unavailable,
        transaction: (body) =>
          Effect.flatMap(Deferred.isDone(fault), (isDone) => (isDone ? new StorageUnavailable({}) : Effect.void)).pipe(
            Effect.zipRight(endedInTime(own.before(body))),
            Effect.tapBoth({ onFailure: () => own.failed, onSuccess: () => own.committed }),
            Effect.uninterruptible,
            Effect.catchTags({
              OtherVersion: () => takenOver("a newer version has changed its tables", "Start that version here too."),
              LockTaken: () => takenOver("another process uses the database", "Stop both, and start one again."),
              ChangedByOthers: () =>
                takenOver(
                  "the database is not as this service left it",
                  "Another process wrote to it while the connection was lost, or an older state of it was put in its place."
                )
            }),
            unavailable
          ),
        fault,
        nodes: engine
      }
    })
  )
