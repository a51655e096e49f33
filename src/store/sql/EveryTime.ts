import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Statement from "@effect/sql/Statement"
import { Effect, Option } from "effect"

/**
 * A statement of every transaction, whose text is always the same: what the tag does anew for each statement, the text, a
 * span and a scope, costs more than running it. The parameters of the one that is given only stand for those to come.
 */
export const everyTime = <A extends object>(sql: SqlClient.SqlClient, statement: Statement.Statement<A>) => {
  const [text] = statement.compile()
  return (params: ReadonlyArray<string | number>): Effect.Effect<ReadonlyArray<A>, SqlError> =>
    Effect.flatMap(
      Effect.serviceOption(SqlClient.TransactionConnection),
      Option.match({
        onNone: () => sql.unsafe<A>(text, params),
        onSome: ([connection]) => connection.execute(text, params, undefined)
      })
    )
}
