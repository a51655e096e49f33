import type { SqlError } from "@effect/sql/SqlError"
import { Effect, Option } from "effect"
import type { MovedTable } from "./MovedTables.ts"
import type { MoveSide, MoveTarget } from "./MoveSide.ts"

export type MovedKey = number | string
export type MovedRow = Readonly<Record<string, number | string | null>>

/** How much is in hand at a time. One row is taken whatever its size. */
const [mostRows, mostBytes] = [1000, 1024 * 1024]

const behind = ({ sql }: MoveSide, column: string, after: Option.Option<MovedKey>) =>
  Option.match(after, { onNone: () => sql`TRUE`, onSome: (key) => sql`${sql.literal(column)} > ${key}` })

/** The last key of the rows that are next, which fit into the memory; none when there are no more. */
export const edgeOf = (
  side: MoveSide,
  { key, long, name }: MovedTable,
  after: Option.Option<MovedKey>
): Effect.Effect<Option.Option<MovedKey>, SqlError> => {
  const { literal } = side.sql
  const bytes = ["0", ...long.map((column) => `COALESCE(octet_length(${column}), 0)`)].join(" + ")
  return Effect.map(
    side.sql<{ edge: MovedKey | null }>`
      SELECT max(row_key) AS edge FROM (
        SELECT
          row_key, sum(bytes) OVER (ORDER BY row_key ROWS UNBOUNDED PRECEDING) AS sum_of_bytes,
          row_number() OVER (ORDER BY row_key) AS place
        FROM (
          SELECT ${literal(key)} AS row_key, ${literal(bytes)} AS bytes FROM ${literal(name)}
          WHERE ${behind(side, key, after)} ORDER BY ${literal(key)} LIMIT ${literal(String(mostRows))}
        ) AS next_rows
      ) AS measured
      WHERE sum_of_bytes <= ${literal(String(mostBytes))} OR place = 1`,
    ([row]) => Option.fromNullable(row?.edge)
  )
}

/** The rows between two keys, in order, the one of `edge` among them. */
export const rowsUpTo = (side: MoveSide, table: MovedTable, after: Option.Option<MovedKey>, edge: MovedKey) => {
  const { literal } = side.sql
  return side.sql<MovedRow>`
    SELECT ${literal(Object.keys(table.columns).join(", "))} FROM ${literal(table.name)}
    WHERE ${behind(side, table.key, after)} AND ${literal(table.key)} <= ${edge}
    ORDER BY ${literal(table.key)}`
}

/** Adds rows, in one statement. */
export const insertRows = (
  { generated, keepingKeys, rows: table, sql }: MoveTarget,
  { columns, name }: MovedTable,
  rows: ReadonlyArray<MovedRow>
) => {
  const written = Object.fromEntries(
    Object.entries(columns).filter(([column]) => !generated.includes(`${name}.${column}`))
  )
  const list = sql.literal(Object.keys(written).join(", "))
  return Effect.asVoid(sql`
    INSERT INTO ${sql.literal(name)} (${list}) ${sql.literal(keepingKeys)}
    SELECT ${list} FROM ${table(rows, written)} AS given`)
}
