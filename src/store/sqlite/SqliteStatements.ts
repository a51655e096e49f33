import * as SqlClient from "@effect/sql/SqlClient"
import { Effect, Layer, Option } from "effect"
import { type StatementFault, Statements } from "../Statements.ts"
import { sqlStatements } from "../sql/SqlStatements.ts"
import { DatabaseFile } from "./DatabaseFile.ts"
import { keepChanges } from "./KeptChanges.ts"
import { sqliteDialect } from "./SqliteDialect.ts"
import { makeOrUnavailable } from "./SqliteErrors.ts"
import { transaction } from "./Transaction.ts"

/** What the repository needs of a database, in SQLite. Nothing is written to a file that is no longer the one opened. */
export const layer = Layer.effect(
  Statements,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const file = yield* DatabaseFile
    const unavailable = yield* makeOrUnavailable
    const reading = <A>(read: Effect.Effect<A, StatementFault>) => unavailable(file.noticing(read))
    return {
      ...sqlStatements(sql, sqliteDialect(sql)),
      keepChanges: keepChanges(sql),
      reading,
      transaction: (body) => file.guarded(reading(transaction(sql, body))),
      fault: file.fault,
      nodes: Option.none()
    }
  })
)
