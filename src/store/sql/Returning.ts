import type * as SqlClient from "@effect/sql/SqlClient"
import type { Dialect, Update } from "./Dialect.ts"
import { everyTime } from "./EveryTime.ts"

/** Changes in the words of databases that have `UPDATE .. FROM .. RETURNING`: one statement each. */
export const returning = (sql: SqlClient.SqlClient, anyOf: Dialect["anyOf"]) =>
  ({
    newKey: { column: sql.literal(""), value: sql.literal("") },
    orSkip: sql.literal("ON CONFLICT (order_id) DO NOTHING"),
    update: <A extends object>({ from, orders = sql.literal("orders"), returning, set, where }: Update) =>
      sql<A>`
        UPDATE ${orders}
        SET ${set}
        ${from === undefined ? sql.literal("") : sql`FROM ${from}`}
        WHERE ${where}
        RETURNING ${returning}`,
    updateTotals: <A extends object>({ returning, set }: Pick<Update, "set" | "returning">) =>
      everyTime(sql, sql<A>`UPDATE totals SET ${set} RETURNING ${returning}`),
    remove: (from, keys) => sql`DELETE FROM ${sql.literal(from)} WHERE seq IN ${anyOf.keys(keys)}`
  }) satisfies Partial<Dialect>
