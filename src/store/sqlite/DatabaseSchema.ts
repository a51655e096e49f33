import * as Reactivity from "@effect/experimental/Reactivity"
import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import { Effect, Record, Schema } from "effect"
import { escaped } from "../../Redaction.ts"
import * as SqliteClient from "./SqliteClient.ts"

const SchemaRow = Schema.Struct({
  type: Schema.String,
  name: Schema.String,
  sql: Schema.NullOr(Schema.String)
})
type SchemaRow = typeof SchemaRow.Type

const decode = Schema.decodeUnknownSync(Schema.Array(SchemaRow))

/** All that is in a database, as texts also where someone has put something else. Runs nothing of what it finds. */
export const schemaQuery = `
  SELECT ifnull(CAST(type AS TEXT), '') AS type, ifnull(CAST(name AS TEXT), '') AS name, CAST(sql AS TEXT) AS sql
  FROM sqlite_schema
  ORDER BY 1, 2`

/** What SQLite keeps for itself. A name alone proves nothing: a trigger, too, can be called `sqlite_stat1` in a file. */
const ofSqlite = new Map([
  ["sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)"],
  ["sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"],
  ["sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"]
])

const isPlainTable = ({ sql, type }: SchemaRow) => type === "table" && /^CREATE TABLE\s/i.test(sql ?? "")

const isMigrationsTable = (row: SchemaRow) => row.name === "effect_sql_migrations" && isPlainTable(row)

const isKept = (row: SchemaRow) =>
  isMigrationsTable(row) ||
  (row.type === "index" && row.sql === null) ||
  (row.type === "table" && row.sql !== null && ofSqlite.get(row.name) === row.sql)

/** What {@link schemaQuery} found, but for what SQLite and the migrator keep for themselves. */
export const readSchema = (found: unknown) => {
  const rows = decode(found)
  return {
    isEmpty: rows.length === 0,
    /** Only then is it known which migrations were applied. */
    isMigrated: rows.some(isMigrationsTable),
    rows: rows.filter((row) => !isKept(row))
  }
}

/** What the migrations up to that one make, in a database of their own. */
export const schemaAfter = Effect.fnUntraced(
  function* (migrations: Parameters<typeof Migrator.fromRecord>[0], latest: number) {
    const sql = yield* SqliteClient.make(":memory:")
    const loader = Migrator.fromRecord(Record.filter(migrations, (_, name) => Number.parseInt(name, 10) <= latest))
    yield* Migrator.make({})({ loader }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
    return readSchema(yield* sql.unsafe(schemaQuery)).rows
  },
  Effect.scoped,
  Effect.provide(Reactivity.layer),
  Effect.orDie
)

const keyOf = ({ name, type }: SchemaRow) => `${type} ${name}`

/** A name from a schema, which whoever put it there has chosen. */
const shownName = (name: string) => (/^\w+$/.test(name) ? name : escaped(name))

/** Such as `trigger orders_span`. */
const shown = ({ name, type }: SchemaRow) => `${shownName(type)} ${shownName(name)}`

const textOf = ({ sql }: SchemaRow) => (sql ?? "").replace(/\s+/g, " ")

/** The table that an index is on, by its own statement, for what stands beside it in the schema may be wrong. */
const tableOf = (row: SchemaRow) => {
  const [, quoted, plain] =
    /^CREATE (?:UNIQUE )?INDEX (?:"[^"]*"|[\w$]+) ON (?:"([^"]*)"|([\w$]+)) ?\(/i.exec(textOf(row)) ?? []
  return (quoted ?? plain)?.toLowerCase()
}

/** Of columns alone, and any number of rows may have the same ones. */
const isPlainIndex = (row: SchemaRow) => row.type === "index" && /^CREATE INDEX [^()]*\([\w\s",]+\)$/i.test(textOf(row))

/** A view runs when it is read, and a virtual table is code: with one of them in it, a database is not even read. */
export const runsWhenRead = (rows: ReadonlyArray<SchemaRow>) =>
  rows.filter((row) => row.type !== "index" && row.type !== "trigger" && !isPlainTable(row)).map(shown)

/**
 * How a schema differs from ours.
 *
 * A table of another program and its indices are `foreign`: no statement of ours meets them, as our connections keep no
 * foreign keys. An index of plain columns on a table of ours, as an operator makes to look something up, is among
 * `indices`: it changes the speed of statements and nothing they do. Anything else beside ours is `refused`: triggers and
 * views, for they run with our statements and change what these write or read; virtual tables, which are code; an index
 * on a table of ours that is unique or has an expression, for it makes writes fail. `temp` has nothing when a connection
 * begins, so that nobody can put anything there.
 */
export const compareSchemas = (is: ReadonlyArray<SchemaRow>, should: ReadonlyArray<SchemaRow>) => {
  const texts = new Map(is.map((row) => [keyOf(row), textOf(row)]))
  const wanted = new Set(should.map(keyOf))
  const tables = new Set(should.filter(({ type }) => type === "table").map(({ name }) => name))
  const extra = is.filter((row) => !wanted.has(keyOf(row)))
  const isOnForeign = (row: SchemaRow) => {
    const table = tableOf(row)
    return row.type === "index" && table !== undefined && !tables.has(table)
  }
  const indices = extra.filter((row) => isPlainIndex(row) && !isOnForeign(row))
  const foreign = extra.filter(isPlainTable)
  return {
    differing: should.filter((row) => texts.get(keyOf(row)) !== textOf(row)).map(shown),
    refused: extra.filter((row) => !foreign.includes(row) && !indices.includes(row) && !isOnForeign(row)).map(shown),
    indices: indices.map(({ name }) => shownName(name)),
    foreign: foreign.map(({ name }) => shownName(name))
  }
}
