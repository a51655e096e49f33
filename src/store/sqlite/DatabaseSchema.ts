import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Migrator from "@effect/sql-sqlite-node/SqliteMigrator"
import { Effect, Record, Schema } from "effect"
import * as SqliteClient from "./SqliteClient.ts"

const SchemaRow = Schema.Struct({
  type: Schema.String,
  name: Schema.String,
  tbl_name: Schema.String,
  sql: Schema.NullOr(Schema.String)
})
type SchemaRow = typeof SchemaRow.Type

/** All that is in a database but for what SQLite and the migrator keep for themselves. */
export const schemaQuery = `
  SELECT type, name, tbl_name, sql FROM sqlite_schema
  WHERE name NOT LIKE 'sqlite_%' AND tbl_name <> 'effect_sql_migrations'
  ORDER BY type, name`

export const decodeSchema = Schema.decodeUnknownSync(Schema.Array(SchemaRow))

/** What the migrations up to that one make, in a database of their own. */
export const schemaAfter = Effect.fnUntraced(
  function* (migrations: Parameters<typeof Migrator.fromRecord>[0], latest: number) {
    const sql = yield* SqliteClient.make(":memory:")
    const loader = Migrator.fromRecord(Record.filter(migrations, (_, name) => Number.parseInt(name, 10) <= latest))
    yield* Migrator.make({})({ loader }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
    return decodeSchema(yield* sql.unsafe(schemaQuery))
  },
  Effect.scoped,
  Effect.provide(Reactivity.layer),
  Effect.orDie
)

const nameOf = ({ name, type }: SchemaRow) => `${type} ${name}`

const shapesOf = (rows: ReadonlyArray<SchemaRow>) =>
  new Map(rows.map((row) => [nameOf(row), (row.sql ?? "").replace(/\s+/g, " ")]))

/** The objects that differ from ours, and those beside ours: tables of other programs, and their indices. */
export const compareSchemas = (is: ReadonlyArray<SchemaRow>, should: ReadonlyArray<SchemaRow>) => {
  const [found, wanted] = [shapesOf(is), shapesOf(should)]
  const tables = new Set(should.map(({ tbl_name }) => tbl_name))
  const extra = is.filter((row) => !wanted.has(nameOf(row)))
  return {
    differing: [
      ...[...wanted.keys()].filter((name) => found.get(name) !== wanted.get(name)),
      ...extra.filter(({ tbl_name }) => tables.has(tbl_name)).map(nameOf)
    ],
    foreign: extra.filter(({ tbl_name, type }) => type === "table" && !tables.has(tbl_name)).map(({ name }) => name)
  }
}
