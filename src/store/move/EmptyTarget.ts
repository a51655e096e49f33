import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { StartupError } from "../../StartupError.ts"

/** Refuses a database that has anything in it which a move would mix with its own. */
export const checkEmpty = (
  sql: SqlClient.SqlClient,
  refuse: (why: string, what: string) => StartupError
): Effect.Effect<void, SqlError | StartupError> =>
  Effect.forEach(
    ["orders", "pruned", "changes"],
    (table) =>
      Effect.flatMap(sql`SELECT 1 AS found FROM ${sql.literal(table)} LIMIT 1`, (rows) =>
        rows.length === 0 ? Effect.void : refuse(`it is not empty, for it has ${table}`, "name a new database")
      ),
    { discard: true }
  )
