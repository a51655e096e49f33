import * as SqlClient from "@effect/sql/SqlClient"
import type { SqliteClient } from "@effect/sql-sqlite-node/SqliteClient"
import * as Migrator from "@effect/sql-sqlite-node/SqliteMigrator"
import { Effect } from "effect"
import { damaged } from "./DatabaseCheck.ts"
import { compareSchemas, decodeSchema, schemaAfter, schemaQuery } from "./DatabaseSchema.ts"
import { latestMigration, migrations } from "./Migrations.ts"
import { refuse } from "./StartRefusal.ts"

/** Marks a database as ours: "ORDR", in the header field SQLite has for it. */
export const applicationId = 0x4f524452

/** Makes a connection durable and its database one of ours, of the latest migration; refuses what cannot be. */
export const setUp = Effect.fn("Sql.setUp")(function* (sql: SqliteClient) {
  const [header] = yield* sql<{ application_id: number }>`PRAGMA application_id`
  const [schema] = yield* sql<{ objects: number }>`SELECT count(*) AS objects FROM sqlite_schema`
  if (header?.application_id !== applicationId && schema?.objects !== 0) {
    return yield* refuse(sql.config.filename, "a database of another program")
  }
  yield* sql`PRAGMA journal_mode = WAL`
  // Must be said on every connection: better-sqlite3 is built to fall back to NORMAL in WAL mode.
  yield* sql`PRAGMA synchronous = FULL`
  // Large statements would otherwise need a writable folder for temporary files.
  yield* sql`PRAGMA temp_store = MEMORY`
  yield* sql`PRAGMA application_id = ${sql.literal(String(applicationId))}`
  yield* Migrator.make({})({ loader: Migrator.fromRecord(migrations) }).pipe(
    Effect.provideService(SqlClient.SqlClient, sql)
  )

  const [latest] = yield* sql<{ id: number }>`SELECT max(migration_id) AS id FROM effect_sql_migrations`
  if (latest === undefined || latest.id > latestMigration) {
    return yield* refuse(sql.config.filename, "a database of a newer version of this service")
  }
  const is = decodeSchema(yield* sql.unsafe(schemaQuery))
  const { differing } = compareSchemas(is, yield* schemaAfter(migrations, latestMigration))
  if (differing.length > 0) {
    return yield* damaged(sql.config.filename, `another program has changed its ${differing.join(", ")}`)
  }
  const counted = yield* sql`SELECT * FROM totals`
  if (counted.length !== 1) return yield* damaged(sql.config.filename, "the totals are gone")
  // Both ends of the table, by way of its ids.
  yield* sql`
    SELECT * FROM orders
    WHERE order_id IN (
      (SELECT order_id FROM orders ORDER BY seq LIMIT 1), (SELECT order_id FROM orders ORDER BY seq DESC LIMIT 1)
    )`
  const [mode] = yield* sql<{ synchronous: number }>`PRAGMA synchronous`
  if (mode?.synchronous !== 2) return yield* Effect.dieMessage("PRAGMA synchronous is not FULL")
})
