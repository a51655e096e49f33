import * as Migrator from "@effect/sql/Migrator"
import type * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { refuse } from "../server/StartRefusal.ts"
import { checkCurrent, latestOf, migrate, removeChanges } from "../server/Tables.ts"
import { migrations } from "./Migrations.ts"
import { checkSchema, tables } from "./SchemaCheck.ts"

/** What a server says of itself. */
export interface ServerFacts {
  readonly version: number
  readonly version_name: string
  readonly encoding: string
  readonly is_standby: boolean
  readonly read_only: string
  readonly schema: string | null
  readonly synchronous_commit: string
  readonly fsync: string
  readonly standbys: string
}

const facts = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<ServerFacts>`
      SELECT
        current_setting('server_version_num')::integer AS version, current_setting('server_version') AS version_name,
        current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS is_standby,
        current_setting('default_transaction_read_only') AS read_only, current_schema() AS schema,
        current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,
        current_setting('synchronous_standby_names') AS standbys`,
    ([row]) => row
  )

/** Refuses a server that this service cannot work with. */
export const checkServer = (
  shown: string,
  { encoding, is_standby, read_only, schema, version, version_name }: ServerFacts
) => {
  if (version < 150_000)
    return refuse(shown, `PostgreSQL ${version_name}`, "PostgreSQL 15 is the oldest that is supported")
  if (encoding !== "UTF8")
    return refuse(shown, `its encoding is ${encoding}`, "create the database WITH ENCODING 'UTF8'")
  if (is_standby || read_only === "on") return refuse(shown, "it takes no writes", "name the server that does")
  if (schema === null) return refuse(shown, "it has no schema for the tables", "create the one that search_path names")
  return Effect.void
}

/** What the server says of itself. One that this service cannot work with is refused. */
export const checkedFacts = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, shown: string) {
  const found = yield* facts(sql)
  if (found === undefined) return yield* Effect.dieMessage("The server says nothing of itself")
  yield* checkServer(shown, found)
  return found
})

/** What of the promise, that what was accepted is on the disk, the settings of the server take back; nothing if all is kept. */
export const weakened = ({ fsync, standbys, synchronous_commit }: Omit<ServerFacts, "schema">) => {
  if (fsync === "off") return "fsync is off: after a power failure the database may be lost"
  if (synchronous_commit === "off") {
    return "synchronous_commit is off: orders that were accepted may be lost when the server crashes"
  }
  return standbys !== "" && !["on", "remote_apply"].includes(synchronous_commit)
    ? `synchronous_commit is ${synchronous_commit}: orders that were accepted may be lost when a standby takes over`
    : undefined
}

/** The names of the tables that are there. */
export const present = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<{ name: string }>`
      SELECT relname AS name FROM pg_class
      WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')`,
    (rows) => rows.map(({ name }) => name)
  )

/** As the migrator would, after a statement that fails when it is not there: that would end the transaction. */
const journal = (sql: SqlClient.SqlClient) => sql`
  CREATE TABLE IF NOT EXISTS effect_sql_migrations (
    migration_id  integer PRIMARY KEY,
    created_at    timestamp with time zone NOT NULL DEFAULT now(),
    name          text    NOT NULL
  )`

/** Its name was free until the second migration. */
const refuseNodesOfOthers = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, shown: string) {
  if (!(yield* present(sql)).includes("nodes")) return
  return yield* refuse(shown, "its table `nodes` is of another program", "rename that one")
})

/** Refuses a server, or tables on it, that this service does not use just as they are. Reads only. */
export const checkReady = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, shown: string) {
  const found = yield* checkedFacts(sql, shown)
  yield* checkCurrent(sql, shown, { present: present(sql), latest: latestOf(migrations) })
  yield* checkSchema(sql, shown)
  return found
})

/** Makes a database one of ours, of the latest migration, or refuses it. To be run in a transaction of the writer. */
export const setUp = Effect.fn("Sql.setUp")(function* (
  sql: SqlClient.SqlClient,
  shown: string,
  isHistoryKept: boolean
) {
  const found = yield* checkedFacts(sql, shown)
  yield* migrate(sql, shown, {
    present: present(sql),
    journal: journal(sql),
    ours: tables,
    latest: latestOf(migrations),
    apply: (last) =>
      Effect.zipRight(
        last === 1 ? refuseNodesOfOthers(sql, shown) : Effect.void,
        Migrator.make({})({ loader: Migrator.fromRecord({ ...migrations }) })
      )
  })
  yield* checkSchema(sql, shown)
  if (!isHistoryKept) yield* removeChanges(sql)
  const why = weakened(found)
  if (why !== undefined) yield* Effect.logWarning(`${shown}: ${why}`)
})
