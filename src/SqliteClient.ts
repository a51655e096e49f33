import type * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import type Sqlite from "better-sqlite3"
import { Effect, type Scope } from "effect"
import { loadDriver } from "./SqliteDriver.ts"
import { StartupError } from "./StartupError.ts"

export interface SqliteClient extends SqlClient.SqlClient {
  readonly filename: string
}

const preparedAtMost = 200

/** Each statement prepared once. Of too many, the one prepared first is forgotten. */
const preparer = <A>(prepare: (sql: string) => A) => {
  const prepared = new Map<string, A>()
  return (sql: string) => {
    const known = prepared.get(sql)
    if (known) return known
    const statement = prepare(sql)
    const [first] = prepared.keys()
    if (first !== undefined && prepared.size >= preparedAtMost) prepared.delete(first)
    prepared.set(sql, statement)
    return statement
  }
}

const attempt = <A>(run: () => A) =>
  Effect.try({ try: run, catch: (cause) => new SqlError({ cause, message: "Failed to execute statement" }) })

const connectionOf = (db: Sqlite.Database): Connection => {
  const prepare = preparer((sql) => db.prepare(sql))
  const prepareValues = preparer((sql) => {
    const statement = db.prepare<Array<unknown>, ReadonlyArray<unknown>>(sql)
    return statement.reader ? statement.raw() : statement
  })
  const run = <A>(statement: Sqlite.Statement<Array<unknown>, A>, params: ReadonlyArray<unknown>) => {
    if (statement.reader) return statement.all(...params)
    statement.run(...params)
    return []
  }
  return {
    execute: (sql, params) => attempt(() => run(prepare(sql), params)),
    executeRaw: (sql, params) =>
      attempt(() => {
        const statement = prepare(sql)
        return statement.reader ? statement.all(...params) : statement.run(...params)
      }),
    executeValues: (sql, params) => attempt(() => run(prepareValues(sql), params)),
    executeUnprepared: (sql, params) => attempt(() => run(db.prepare(sql), params)),
    executeStream: () => Effect.dieMessage("SQLite gives no streams")
  }
}

/**
 * The SQL client of a database file, closed with the scope. It has one connection: a transaction makes the others wait.
 * Opening changes nothing in the file, and nothing waits for the lock of another process.
 */
export const make = (
  filename: string
): Effect.Effect<SqliteClient, SqlError | StartupError, Scope.Scope | Reactivity.Reactivity> =>
  Effect.gen(function* () {
    const Driver = yield* Effect.try({
      try: loadDriver,
      catch: (cause) => new StartupError({ lines: [cause instanceof Error ? cause.message : String(cause)] })
    })
    const db = yield* Effect.acquireRelease(
      attempt(() => new Driver(filename, { timeout: 0 })),
      (db) => Effect.sync(() => db.close())
    )
    const connection = connectionOf(db)
    const semaphore = yield* Effect.makeSemaphore(1)
    const client = yield* SqlClient.make({
      acquirer: semaphore.withPermits(1)(Effect.succeed(connection)),
      transactionAcquirer: Effect.uninterruptibleMask((restore) =>
        restore(semaphore.take(1)).pipe(
          Effect.zipRight(Effect.addFinalizer(() => semaphore.release(1))),
          Effect.as(connection)
        )
      ),
      compiler: Statement.makeCompilerSqlite(),
      spanAttributes: [["db.system.name", "sqlite"]]
    })
    return Object.assign(client, { filename })
  })
