import type * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Option } from "effect"
import type * as Pg from "pg"
import { bossOn, engineSchema, loadEngine } from "./PgBossEngine.ts"
import { makePool } from "./PostgresDriver.ts"

/** The version of the engine's tables that `engineVersion` works with. A test compares it with the package. */
export const engineTables = 46

/** For how long a change of the tables may take, in milliseconds. */
const changeMillis = 600_000

/** The version of the engine's tables, if there are any. */
export const engineTablesIn = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [own] = yield* sql<{ name: string }>`SELECT current_schema() AS name`
  const schema = engineSchema(own?.name ?? "public")
  const [found] = yield* sql<{ is_there: boolean }>`SELECT to_regclass(${`${schema}.version`}) IS NOT NULL AS is_there`
  if (found?.is_there !== true) return { schema, version: Option.none<number>() }
  const [row] = yield* sql<{ version: number }>`SELECT version FROM ${sql.literal(`${schema}.version`)}`
  return { schema, version: Option.map(Option.fromNullable(row), ({ version }) => version) }
})

/** Makes the engine's tables, or brings them to that version. */
export const makeEngineTables = (config: Pg.ClientConfig, schema: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const engine = yield* loadEngine
      const pool = yield* makePool({ ...config, query_timeout: changeMillis }, 1)
      const boss = bossOn(engine, pool, schema)
      boss.on("error", () => {})
      yield* Effect.tryPromise({
        try: () => boss.start().then(() => boss.stop({ graceful: false })),
        catch: (cause) => new SqlError({ cause, message: "The engine's tables cannot be made" })
      })
    })
  )
