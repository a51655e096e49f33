import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqliteClient } from "@effect/sql-sqlite-node/SqliteClient"
import { Effect } from "effect"
import { damaged } from "./DatabaseCheck.ts"
import { compareSchemas, readSchema, schemaAfter, schemaQuery } from "./DatabaseSchema.ts"
import { copyMark, startHistory } from "./HistoryStart.ts"
import { latestMigration, migrations } from "./Migrations.ts"
import { refuse } from "./StartRefusal.ts"

/** Marks a database as ours: "ORDR", in the header field SQLite has for it. */
export const applicationId = 0x4f524452

/** The number of the last migration that was applied. */
const applied = (sql: SqliteClient) =>
  Effect.map(
    sql<{ id: number }>`SELECT COALESCE(max(migration_id), 0) AS id FROM effect_sql_migrations`,
    ([row]) => row?.id ?? 0
  )

/** Refuses a schema that the migrations up to that one do not make. */
const checkSchema = Effect.fnUntraced(function* (sql: SqliteClient, latest: number) {
  const { rows } = readSchema(yield* sql.unsafe(schemaQuery))
  const { differing, refused } = compareSchemas(rows, yield* schemaAfter(migrations, latest))
  if (refused.length > 0) {
    return yield* refuse(
      sql.config.filename,
      `${refused.join(", ")}: not made by this service, and may change what is stored and read`,
      "find out where it comes from, then remove it by DROP, or put a backup in place with `orders restore`"
    )
  }
  if (differing.length > 0) {
    return yield* damaged(sql.config.filename, `another program has changed its ${differing.join(", ")}`)
  }
})

/** Refuses a database that the service of this version does not use just as it is. Reads only. */
export const checkCurrent = Effect.fnUntraced(function* (sql: SqliteClient) {
  const file = sql.config.filename
  const [header] = yield* sql<{ application_id: number }>`PRAGMA application_id`
  if (header?.application_id !== applicationId) return yield* refuse(file, "not a database of this service", "name one")
  const { isMigrated } = readSchema(yield* sql.unsafe(schemaQuery))
  const latest = isMigrated ? yield* applied(sql) : 0
  if (latest > latestMigration) {
    return yield* refuse(file, "a database of a newer version of this service", "use that version")
  }
  if (latest < latestMigration) {
    return yield* refuse(file, "a database of an older version", "start the service of this version on it once")
  }
  yield* checkSchema(sql, latest)
  const [copied] = yield* sql<{ user_version: number }>`PRAGMA user_version`
  if (copied?.user_version === copyMark) {
    return yield* refuse(
      file,
      "a copy that no service has been started on, so that readers of changes may know newer ones",
      "start the service of this version on it once"
    )
  }
})

/** Makes a connection durable and its database one of ours, of the latest migration; refuses what cannot be. */
export const setUp = Effect.fn("Sql.setUp")(function* (sql: SqliteClient, isHistoryKept: boolean) {
  const [header] = yield* sql<{ application_id: number }>`PRAGMA application_id`
  const { isEmpty, isMigrated, rows } = readSchema(yield* sql.unsafe(schemaQuery))
  if (header?.application_id !== applicationId && !isEmpty) {
    return yield* refuse(sql.config.filename, "a database of another program")
  }
  const isMade = rows.some(({ name }) => name === "orders")
  const before = isMigrated ? yield* applied(sql) : isMade ? latestMigration : 0
  if (before > latestMigration) {
    return yield* refuse(sql.config.filename, "a database of a newer version of this service")
  }
  // Before anything is written: what a stranger put there would run with it.
  yield* checkSchema(sql, before)
  yield* sql`PRAGMA journal_mode = WAL`
  // Must be said on every connection: better-sqlite3 is built to fall back to NORMAL in WAL mode.
  yield* sql`PRAGMA synchronous = FULL`
  // Large statements would otherwise need a writable folder for temporary files.
  yield* sql`PRAGMA temp_store = MEMORY`
  yield* sql`PRAGMA application_id = ${sql.literal(String(applicationId))}`
  yield* Migrator.make({})({ loader: Migrator.fromRecord(migrations) }).pipe(
    Effect.provideService(SqlClient.SqlClient, sql)
  )

  yield* checkSchema(sql, yield* applied(sql))
  const counted = yield* sql`SELECT * FROM totals`
  if (counted.length !== 1) return yield* damaged(sql.config.filename, "the totals are gone")
  yield* startHistory(sql, isHistoryKept)
  // Both ends of the table, by way of its ids.
  yield* sql`
    SELECT * FROM orders
    WHERE order_id IN (
      (SELECT order_id FROM orders ORDER BY seq LIMIT 1), (SELECT order_id FROM orders ORDER BY seq DESC LIMIT 1)
    )`
  const [mode] = yield* sql<{ synchronous: number }>`PRAGMA synchronous`
  if (mode?.synchronous !== 2) return yield* Effect.dieMessage("PRAGMA synchronous is not FULL")
})
