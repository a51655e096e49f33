import type * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { refuse } from "../server/StartRefusal.ts"
import { checkCurrent, latestOf, migrate, removeChanges } from "../server/Tables.ts"
import { migrations } from "./Migrations.ts"
import { checkSchema, tables } from "./SchemaCheck.ts"

/** The server's own default, and more than a statement has: see the weight of a batch in `CommitLine`. */
const leastPacket = 16 * 1024 * 1024

interface ServerFacts {
  readonly version: string
  readonly read_only: string | number
  readonly max_packet: number
  readonly flush_log: number
  readonly log_bin: number
  readonly sync_binlog: number
}

const facts = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<ServerFacts>`
      SELECT
        VERSION() AS version, @@global.read_only AS read_only, @@session.max_allowed_packet AS max_packet,
        @@global.innodb_flush_log_at_trx_commit AS flush_log, @@global.log_bin AS log_bin,
        @@global.sync_binlog AS sync_binlog`,
    ([row]) => row
  )

/** Refuses a server that this service cannot work with. */
export const checkServer = (
  shown: string,
  { max_packet, read_only }: Pick<ServerFacts, "max_packet" | "read_only">
) => {
  if (!["0", "OFF"].includes(String(read_only))) return refuse(shown, "it takes no writes", "name the server that does")
  if (max_packet < leastPacket) {
    return refuse(
      shown,
      `max_allowed_packet is ${max_packet}`,
      `set it to ${leastPacket} bytes or more in the server's configuration`
    )
  }
  return Effect.void
}

/** What of the promise, that what was accepted is on the disk, the settings of the server take back; nothing if all is kept. */
export const weakened = ({
  flush_log,
  log_bin,
  sync_binlog
}: Pick<ServerFacts, "flush_log" | "log_bin" | "sync_binlog">) => {
  if (flush_log !== 1 && flush_log !== 3) {
    return `innodb_flush_log_at_trx_commit is ${flush_log}: orders that were accepted may be lost when the server crashes`
  }
  return log_bin !== 0 && sync_binlog !== 1
    ? `sync_binlog is ${sync_binlog}: after a power failure the binary log may lack orders that were accepted`
    : undefined
}

/** What the server says of itself. One that this service cannot work with is refused. */
export const checkedFacts = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, shown: string) {
  const found = yield* facts(sql)
  if (found === undefined) return yield* Effect.dieMessage("The server says nothing of itself")
  yield* checkServer(shown, found)
  return found
})

const present = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<{ name: string }>`SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()`,
    (rows) => rows.map(({ name }) => name)
  )

const journal = (sql: SqlClient.SqlClient) => sql`
  CREATE TABLE IF NOT EXISTS effect_sql_migrations (
    migration_id  int          PRIMARY KEY,
    created_at    datetime     NOT NULL DEFAULT current_timestamp,
    name          varchar(255) NOT NULL
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin`

/** Notes a migration when it is done, for what it did is not undone if it is cut short: then it is run again. */
const apply = (sql: SqlClient.SqlClient) => (last: number) =>
  Effect.forEach(
    Object.entries(migrations),
    ([name, migration]) => {
      const [id = 0, title] = [Number.parseInt(name, 10), name.replace(/^\d+_/, "")]
      return id <= last
        ? Effect.void
        : Effect.zipRight(
            migration,
            sql`INSERT INTO effect_sql_migrations (migration_id, name) VALUES (${id}, ${title})`
          )
    },
    { discard: true }
  )

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
    apply: apply(sql)
  })
  yield* checkSchema(sql, shown)
  if (!isHistoryKept) yield* removeChanges(sql)
  const why = weakened(found)
  if (why !== undefined) yield* Effect.logWarning(`${shown}: ${why}`)
})
