import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Statement from "@effect/sql/Statement"
import type { Dialect } from "../sql/Dialect.ts"
import { isOf } from "../sql/PartialIndexes.ts"
import { returning } from "../sql/Returning.ts"

const typeOf = { integer: "bigint", name: "text", text: "text" } as const

/**
 * In the words of PostgreSQL. It cannot be named an index, so a slice is said in a way that only that index fits: its columns
 * are compared as a row, and are all in the order. Given as equal, they would leave the order to the keys alone, and the
 * planner might go through all orders by key, because it believes that enough of them fit.
 */
export const postgresDialect = (sql: SqlClient.SqlClient): Dialect => {
  const literal = sql.literal
  const anyOf: Dialect["anyOf"] = {
    keys: (keys) =>
      sql`(SELECT value::bigint FROM json_array_elements_text(${JSON.stringify(keys)}::json) AS given (value))`,
    ids: (ids) => sql`(SELECT value FROM json_array_elements_text(${JSON.stringify(ids)}::json) AS given (value))`
  }
  return {
    ...returning(sql, anyOf),
    anyOf,
    rows: (objects, columns) => {
      const types = Object.entries(columns).map(([name, type]) => `${name} ${typeOf[type]}`)
      return sql`(SELECT * FROM json_to_recordset(${JSON.stringify(objects)}::json) AS given (${literal(types.join(", "))}))`
    },
    partial: (index) => ({ from: literal("orders"), isIn: literal(isOf[index]) }),
    slice: ({ direction, partial, range, values }) => {
      const names = [...Object.keys(values), "seq"]
      const row = literal(`(${names.join(", ")})`)
      const upTo = (key: number) => sql`(${listed(sql, [...Object.values(values), key])})`
      const within = sql`${row} >= ${upTo(range.low)} AND ${row} <= ${upTo(range.high)}`
      const way = direction === "down" ? "DESC" : "ASC"
      return {
        from: literal("orders"),
        isIn: partial === undefined ? within : sql`${literal(`status = '${partial}'`)} AND ${within}`,
        order: literal(`ORDER BY ${names.map((name) => `${name} ${way}`).join(", ")}`)
      }
    },
    // So that the index of all statuses is not combined with the one that is read.
    hasStatus: (status) => literal(`COALESCE(status, '') = '${status}'`),
    changesBy: () => literal("changes JOIN orders USING (seq)"),
    idList: (query, limit) =>
      sql`(SELECT COALESCE(json_agg(order_id)::text, '[]') FROM (${query} LIMIT ${limit}) AS found)`,
    errorCode: (value) => sql`, error_code = ${value}`
  }
}

const listed = (sql: SqlClient.SqlClient, values: ReadonlyArray<string | number | Statement.Fragment>) =>
  values.map((value) => sql`${value}`).reduce((list, value) => sql`${list}, ${value}`)
