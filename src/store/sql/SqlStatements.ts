import type * as SqlClient from "@effect/sql/SqlClient"
import type { Dialect } from "./Dialect.ts"
import { makeFragments } from "./Fragments.ts"
import { history } from "./History.ts"
import { readStatements } from "./ReadStatements.ts"
import { writeStatements } from "./WriteStatements.ts"

/** What the repository needs of a database, but for what lies around the statements: transactions and their failures. */
export const sqlStatements = (sql: SqlClient.SqlClient, dialect: Dialect) => {
  const fragments = makeFragments(sql, dialect)
  return { ...readStatements(fragments), ...writeStatements(fragments), ...history(fragments) }
}
