import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { refuse } from "./StartRefusal.ts"

export type Migrations = Readonly<Record<string, Effect.Effect<void, SqlError, SqlClient.SqlClient>>>

/** The number of the last of these migrations. */
export const latestOf = (migrations: Migrations) =>
  Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name, 10)))

/** The number of the last migration that was applied. */
export const applied = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<{ id: number }>`SELECT COALESCE(max(migration_id), 0) AS id FROM effect_sql_migrations`,
    ([row]) => row?.id ?? 0
  )

/** How the tables of a database are kept. */
interface Kept<E> {
  /** The names of the tables that are there. */
  readonly present: Effect.Effect<ReadonlyArray<string>, SqlError>
  /** Makes the table of migrations, unless it is there. */
  readonly journal: Effect.Effect<unknown, SqlError>
  /** The names of the tables that the migrations make. */
  readonly ours: ReadonlyArray<string>
  /** The number of the last migration. */
  readonly latest: number
  /** Applies the migrations behind that one. */
  readonly apply: (last: number) => Effect.Effect<unknown, E, SqlClient.SqlClient>
}

/** Brings the tables to the latest migration; refuses those of another program, or of a newer version. */
export const migrate = Effect.fnUntraced(function* <E>(
  sql: SqlClient.SqlClient,
  shown: string,
  { apply, journal, latest, ours, present }: Kept<E>
) {
  const tables = yield* present
  let last = 0
  if (tables.includes("effect_sql_migrations")) {
    last = yield* applied(sql)
    if (last > latest) {
      return yield* refuse(shown, "a database of a newer version of this service", "start that version")
    }
  } else if (tables.some((name) => ours.includes(name))) {
    return yield* refuse(shown, "its tables are of another program", "give a database or a schema of its own")
  }
  yield* journal
  yield* Effect.provideService(apply(last), SqlClient.SqlClient, sql)
  const counted = yield* sql`SELECT * FROM totals`
  if (counted.length !== 1) return yield* refuse(shown, "the totals are gone", "put a backup in place")
})

export const refuseNoTables = (shown: string) =>
  refuse(shown, "there are no tables of this service in it", "name the database or the schema that has them")

/** Refuses tables that the service of this version does not use just as they are. Reads only. */
export const checkCurrent = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  shown: string,
  { latest, present }: Pick<Kept<never>, "latest" | "present">
) {
  const tables = yield* present
  if (!tables.includes("effect_sql_migrations") || !tables.includes("totals")) {
    return yield* refuseNoTables(shown)
  }
  const is = yield* applied(sql)
  if (is > latest) return yield* refuse(shown, "a database of a newer version of this service", "use that version")
  if (is < latest) {
    return yield* refuse(shown, "a database of an older version", "start the service of this version on it once")
  }
})

/** From now on whoever resumes hears that what was before is not kept any more. */
export const hideChanges = (sql: SqlClient.SqlClient) =>
  sql`UPDATE totals SET history_from = last_change + 1 WHERE history_from <= last_change`

/** With none kept from now on, the last change of an order would soon contradict it. */
export const removeChanges = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  yield* hideChanges(sql)
  const some = yield* sql`SELECT id FROM changes LIMIT 1`
  if (some.length === 0) return
  yield* sql`TRUNCATE TABLE changes`
  yield* Effect.logInfo("Removed the history, as HISTORY is off")
})
