import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { Effect } from "effect"
import { StartupError } from "../../StartupError.ts"
import { loadDriver, precautions } from "./SqliteDriver.ts"

/**
 * The SQL client of a database file, closed with the scope. It has one connection: a transaction makes the others wait.
 * Opening changes nothing in the file, and nothing waits for the lock of another process.
 */
export const make = (filename: string, { readonly = false } = {}) =>
  Effect.try({
    try: loadDriver,
    catch: (cause) => new StartupError({ lines: [cause instanceof Error ? cause.message : String(cause)] })
  }).pipe(
    // The client keeps a failed preparation (another process has the lock, the disk fails) as long as a prepared statement.
    Effect.zipRight(SqliteClient.make({ filename, readonly, disableWAL: true, prepareCacheTTL: "1 second" })),
    Effect.tap((sql) => sql`PRAGMA busy_timeout = 0`),
    Effect.tap((sql) => Effect.forEach(precautions, (precaution) => sql.unsafe(`PRAGMA ${precaution}`)))
  )
