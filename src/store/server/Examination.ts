import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { schemaDifferences } from "./SchemaList.ts"
import { applied, latestOf, type Migrations, refuseNoTables } from "./Tables.ts"

/** A database on a server that is looked at, running service or not: all statements read one state of it. */
export interface Examination {
  readonly shown: string
  readonly sql: SqlClient.SqlClient
  /** Such as `PostgreSQL 15.20, encoding UTF8`. */
  readonly server: string
  /** What of the promise the settings of the server take back. */
  readonly weakened: string | undefined
  /** How what is sent is encrypted, such as `TLSv1.3`. */
  readonly tls: string | undefined
  /** Whether a service has the database. */
  readonly isHeld: boolean
  readonly migrations: { readonly applied: number; readonly latest: number }
  /** How the tables differ from ours. */
  readonly differences: ReadonlyArray<string>
  /** Whether a statement was given up, because it took longer than {@link mostSeconds}. */
  readonly tookTooLong: (error: SqlError) => boolean
}

/** For how long a statement may look. */
export const mostSeconds = 25

/** Looks at the tables, which have to be of this service. `there` is what there is of them, as in `schemaList`. */
export const examineTables = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  shown: string,
  there: ReadonlyArray<string>,
  ours: { readonly migrations: Migrations; readonly expected: ReadonlyArray<string> }
) {
  if (!there.includes("table totals")) return yield* refuseNoTables(shown)
  return {
    migrations: { applied: yield* applied(sql), latest: latestOf(ours.migrations) },
    differences: schemaDifferences(there, ours.expected)
  }
})
