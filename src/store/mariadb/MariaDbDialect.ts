import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Statement from "@effect/sql/Statement"
import { Effect } from "effect"
import type { Dialect, PartialIndex, Update } from "../sql/Dialect.ts"
import { everyTime } from "../sql/EveryTime.ts"

/**
 * What a text of a database's own character set cannot hold would be lost, and by the collation of that set `A` would be `a`. A
 * `name` that is longer is cut, so that no column takes it.
 */
const typeOf = {
  integer: "BIGINT",
  name: "VARCHAR(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
  text: "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
} as const

/** There are no indices of some rows: a column says which rows are meant, and is the index's first. */
const isOf: Readonly<Record<PartialIndex | "orders_failed" | "orders_ended", string>> = {
  orders_pending: "lane = 0",
  orders_suspect: "lane = 1",
  orders_failed: "is_failed = 1",
  orders_failed_at: "is_failed = 1",
  orders_ended: "is_ended = 1",
  orders_prunable: "is_prunable = 1"
}

const isPartial = (index: string): index is keyof typeof isOf => index in isOf

/**
 * In the words of MariaDB. It has no `UPDATE .. RETURNING`: the keys are read and locked, then changed, then read again. An
 * update or a removal joins the keys, for it would look through `IN (SELECT ..)` once for each row of the table.
 */
export const mariaDbDialect = (sql: SqlClient.SqlClient): Dialect => {
  const literal = sql.literal
  const table = (
    objects: ReadonlyArray<unknown>,
    columns: Readonly<Record<string, keyof typeof typeOf>>,
    path: string
  ) => {
    const parts = Object.entries(columns).map(
      ([name, type]) => `${name} ${typeOf[type]} PATH '$${path}${path && name}'`
    )
    return sql`JSON_TABLE(${JSON.stringify(objects)}, '$[*]' COLUMNS (${literal(parts.join(", "))}))`
  }
  const listed = (values: ReadonlyArray<number | string>, type: "integer" | "name") =>
    sql`${table(values, { given_value: type }, "")} AS given_values`
  const by = (index: string) => literal(`orders FORCE INDEX (${index})`)
  const byKey = by("PRIMARY")
  const withKeys = (keys: ReadonlyArray<number>) => sql`${listed(keys, "integer")} STRAIGHT_JOIN ${byKey}`
  const isGiven = literal("seq = given_value")

  return {
    rows: (objects, columns) => table(objects, columns, "."),
    anyOf: {
      keys: (keys) => sql`(SELECT given_value FROM ${listed(keys, "integer")})`,
      ids: (ids) => sql`(SELECT given_value FROM ${listed(ids, "name")})`
    },
    partial: (index) => ({
      from: by(index === "orders_suspect" ? "orders_pending" : index),
      isIn: literal(isOf[index])
    }),
    slice: ({ direction, index, range, values }) => {
      const given: Array<Statement.Fragment> = Object.entries(values).map(
        ([name, value]) => sql`${literal(name)} = ${value}`
      )
      return {
        from: index === "" ? byKey : by(index),
        isIn: sql.and([
          ...(isPartial(index) ? [literal(isOf[index])] : []),
          ...given,
          sql`seq BETWEEN ${range.low} AND ${range.high}`
        ]),
        order: literal(`ORDER BY seq ${direction === "down" ? "DESC" : "ASC"}`)
      }
    },
    hasStatus: (status) => literal(`status = '${status}'`),
    changesBy: (index) =>
      literal(`changes FORCE INDEX (${index === "id" ? "PRIMARY" : "changes_order"}) STRAIGHT_JOIN orders USING (seq)`),
    // One by one, for a table in FROM cannot be of the row it is asked for, and JSON_ARRAYAGG would read all there are.
    idList: (query, limit) => {
      const ids = Array.from({ length: limit }, (_, place) => sql`concat('"', (${query} LIMIT 1 OFFSET ${place}), '"')`)
      return sql`concat('[', concat_ws(',', ${ids.reduce((list, id) => sql`${list}, ${id}`)}), ']')`
    },
    errorCode: (value) => sql`, error_code = ${value}`,
    // AUTO_INCREMENT would leave gaps, and knows nothing of keys that are gone.
    newKey: {
      column: literal("seq, "),
      value: literal("(SELECT GREATEST(last_key, (SELECT COALESCE(max(seq), 0) FROM orders)) FROM totals) + newcomer, ")
    },
    orSkip: literal(""),
    update: <A extends object>({ from, orders = byKey, returning, set, where }: Update) =>
      Effect.gen(function* () {
        const joined = from === undefined ? undefined : sql`${from} STRAIGHT_JOIN ${byKey}`
        const found = yield* sql<{ seq: number }>`SELECT seq FROM ${joined ?? orders} WHERE ${where} FOR UPDATE`
        if (found.length === 0) return []
        const keys = found.map(({ seq }) => seq)
        yield* sql`UPDATE ${joined ?? withKeys(keys)} SET ${set} WHERE ${joined ? where : isGiven}`
        return yield* sql<A>`SELECT ${returning} FROM ${withKeys(keys)} WHERE ${isGiven}`
      }),
    updateTotals: <A extends object>({ returning, set }: Pick<Update, "set" | "returning">) => {
      const update = everyTime(sql, sql`UPDATE totals SET ${set}`)
      const read = everyTime(sql, sql<A>`SELECT ${returning} FROM totals`)
      return (numbers) => Effect.zipRight(update(numbers), read([]))
    },
    remove: (from, keys) =>
      sql`DELETE ${literal(from)} FROM ${listed(keys, "integer")} STRAIGHT_JOIN ${literal(from)} WHERE ${isGiven}`
  }
}
