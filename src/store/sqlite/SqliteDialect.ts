import type * as SqlClient from "@effect/sql/SqlClient"
import type { Dialect } from "../sql/Dialect.ts"
import { isOf } from "../sql/PartialIndexes.ts"
import { returning } from "../sql/Returning.ts"

/** In the words of SQLite. */
export const sqliteDialect = (sql: SqlClient.SqlClient): Dialect => {
  const by = (index: string) => sql.literal(`orders INDEXED BY ${index}`)
  const listed = (values: ReadonlyArray<number | string>) =>
    sql`(SELECT value FROM json_each(${JSON.stringify(values)}))`
  const anyOf = { keys: listed, ids: listed }
  return {
    ...returning(sql, anyOf),
    anyOf,
    // Each value is taken out of the JSON once, however often it is used.
    rows: (objects, columns) => {
      const values = Object.keys(columns).map((name) => `value ->> '${name}' AS ${name}`)
      return sql`(
        WITH given AS MATERIALIZED (SELECT ${sql.literal(values.join(", "))} FROM json_each(${JSON.stringify(objects)}))
        SELECT * FROM given
      )`
    },
    partial: (index) => ({ from: by(index), isIn: sql.literal(isOf[index]) }),
    slice: ({ direction, index, partial, range, values }) => {
      const given = Object.entries(partial ? { status: partial, ...values } : values).map(([name, value]) =>
        // Spelled out, so that SQLite sees that the partial index of that status fits.
        name === "status" ? sql.literal(`status = '${value}'`) : sql`${sql.literal(name)} = ${value}`
      )
      return {
        from: index === "" ? sql.literal("orders NOT INDEXED") : by(index),
        isIn: sql.and([...given, sql`seq BETWEEN ${range.low} AND ${range.high}`]),
        order: sql.literal(`ORDER BY seq ${direction === "down" ? "DESC" : "ASC"}`)
      }
    },
    // Asked of an index, for the rows of a user are spread over the whole table.
    hasStatus: (status) => sql`EXISTS (
      SELECT 1 FROM orders AS same INDEXED BY orders_status
      WHERE same.status = ${sql.literal(`'${status}'`)} AND same.seq = orders.seq
    )`,
    changesBy: (index) =>
      sql.literal(
        `changes ${index === "id" ? "NOT INDEXED" : "INDEXED BY changes_order"} CROSS JOIN orders USING (seq)`
      ),
    idList: (query, limit) => sql`(SELECT json_group_array(order_id) FROM (${query} LIMIT ${limit}))`,
    // Generated.
    errorCode: () => sql.literal("")
  }
}
