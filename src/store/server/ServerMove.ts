import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Compiler } from "@effect/sql/Statement"
import { Effect, Exit, Logger } from "effect"
import { checkEmpty } from "../move/EmptyTarget.ts"
import type { Dialect } from "../sql/Dialect.ts"
import { sqlOfSession } from "./ServerSql.ts"
import { refuse } from "./StartRefusal.ts"
import type { WriterDriver } from "./Writer.ts"

/** How a database on a server is moved. */
interface Kind {
  readonly driver: WriterDriver
  readonly compiler: Compiler
  readonly dialect: (sql: SqlClient.SqlClient) => Dialect
  readonly nextKey: (sql: SqlClient.SqlClient) => Effect.Effect<ReadonlyArray<{ readonly next: number }>, SqlError>
}

/** A session with the lock. Its transaction is never committed unless `commit` does it. */
export const openSession = Effect.fnUntraced(function* (shown: string, { compiler, dialect, driver, nextKey }: Kind) {
  const { connection } = yield* Effect.acquireRelease(driver.open, ({ abort, end, isOpen }, exit) =>
    Exit.isSuccess(exit) && isOpen() ? Effect.promise(end) : Effect.sync(() => abort("given up"))
  )
  const sql = yield* sqlOfSession(connection, compiler)
  const side = {
    shown,
    sql,
    rows: dialect(sql).rows,
    nextKey: Effect.map(nextKey(sql), ([row]) => row?.next ?? 1)
  }
  return { connection, side, commit: driver.commit(connection) }
})

type Session = Effect.Effect.Success<ReturnType<typeof openSession>>

/** Makes the tables of a database to move into, which has to have nothing in them. */
export const makeEmpty = <E>(
  { connection, side: { shown, sql } }: Session,
  setUp: (sql: SqlClient.SqlClient, shown: string, isHistoryKept: boolean) => Effect.Effect<void, E>
) =>
  setUp(sql, shown, true).pipe(
    Effect.provideService(SqlClient.TransactionConnection, [connection, 0]),
    // What it warns of, the start of the service warns of, too.
    Effect.provide(Logger.remove(Logger.defaultLogger)),
    Effect.zipRight(checkEmpty(sql, (why, what) => refuse(shown, why, what)))
  )
