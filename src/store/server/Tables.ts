import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { refuse } from "./StartRefusal.ts"

const ourTables = ["orders", "pruned", "changes", "totals", "probe", "spans", "failures"]

type Migrations = Readonly<Record<string, Effect.Effect<void, SqlError, SqlClient.SqlClient>>>

/** The number of the last of these migrations. */
export const latestOf = (migrations: Migrations) =>
  Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name, 10)))

/**
 * Brings the tables to the latest migration; refuses those of another program, or of a newer version.
 *
 * @param present the names of the tables that are there
 * @param journal makes the table of migrations, unless it is there
 */
export const migrate = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  shown: string,
  {
    journal,
    migrations,
    present
  }: {
    readonly present: Effect.Effect<ReadonlyArray<string>, SqlError>
    readonly journal: Effect.Effect<unknown, SqlError>
    readonly migrations: Migrations
  }
) {
  const tables = yield* present
  if (tables.includes("effect_sql_migrations")) {
    const [last] = yield* sql<{ id: number }>`SELECT COALESCE(max(migration_id), 0) AS id FROM effect_sql_migrations`
    if ((last?.id ?? 0) > latestOf(migrations)) {
      return yield* refuse(shown, "a database of a newer version of this service", "start that version")
    }
  } else if (tables.some((name) => ourTables.includes(name))) {
    return yield* refuse(shown, "its tables are of another program", "give a database or a schema of its own")
  }
  // As the migrator would, after a statement that fails when it is not there: that may end the transaction.
  yield* journal
  yield* Migrator.make({})({ loader: Migrator.fromRecord({ ...migrations }) }).pipe(
    Effect.provideService(SqlClient.SqlClient, sql)
  )
  const counted = yield* sql`SELECT * FROM totals`
  if (counted.length !== 1) return yield* refuse(shown, "the totals are gone", "put a backup in place")
})

/** Refuses tables that the service of this version does not use just as they are. Reads only. */
export const checkCurrent = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  shown: string,
  {
    migrations,
    present
  }: { readonly present: Effect.Effect<ReadonlyArray<string>, SqlError>; readonly migrations: Migrations }
) {
  const tables = yield* present
  if (!tables.includes("effect_sql_migrations") || !tables.includes("totals")) {
    return yield* refuse(
      shown,
      "there are no tables of this service in it",
      "name the database or the schema that has them"
    )
  }
  const [last] = yield* sql<{ id: number }>`SELECT COALESCE(max(migration_id), 0) AS id FROM effect_sql_migrations`
  const [is, latest] = [last?.id ?? 0, latestOf(migrations)]
  if (is > latest) return yield* refuse(shown, "a database of a newer version of this service", "use that version")
  if (is < latest) {
    return yield* refuse(shown, "a database of an older version", "start the service of this version on it once")
  }
})

/** With none kept from now on, the last change of an order would soon contradict it. */
export const removeChanges = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  yield* sql`UPDATE totals SET history_from = last_change + 1 WHERE history_from <= last_change`
  const some = yield* sql`SELECT id FROM changes LIMIT 1`
  if (some.length === 0) return
  yield* sql`TRUNCATE TABLE changes`
  yield* Effect.logInfo("Removed the history, as HISTORY is off")
})
