import { randomBytes } from "node:crypto"
import { afterAll } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Mysql from "mysql2/promise"
import * as OrdersRepoMariaDb from "../../src/store/mariadb/OrdersRepoMariaDb.ts"
import { serverBy } from "./Postgres.ts"

/** The server for tests, by the URL of a database; its user may make others. */
const testServer = process.env.TEST_MARIADB ?? "mariadb://root@127.0.0.1:3306/test"

const withoutDatabase = (url: string) => Object.assign(new URL(url), { pathname: "/", search: "" }).href

/** Runs statements on a connection of their own. */
export const queryMariaDb = async (url: string, ...statements: ReadonlyArray<string>) => {
  const connection = await Mysql.createConnection({ uri: url, connectTimeout: 5000 })
  connection.on("error", () => {})
  try {
    let rows: unknown = []
    for (const statement of statements) [rows] = await connection.query(statement)
    return Array.isArray(rows) ? rows : []
  } finally {
    await connection.end().catch(() => {})
  }
}

const missing = await queryMariaDb(withoutDatabase(testServer), "SELECT 1").then(
  () => "",
  (cause: unknown) => ` (no MariaDB: ${cause instanceof Error ? cause.message : String(cause)})`
)

export const hasMariaDb = missing === ""
/** Behind the name of what is skipped without a server. */
export const unlessMariaDb = missing

const empty = [
  "BEGIN",
  ...["orders", "pruned", "changes", "spans", "failures"].map((table) => `DELETE FROM ${table}`),
  `UPDATE totals SET
    pending = 0, processing = 0, completed = 0, failed = 0, cancelled = 0, processing_ms = 0, failure_codes = 0,
    retention_at = NULL, last_change = 0, history_from = 1, last_key = 0`,
  "COMMIT"
]

/** Databases for the tests of a file, gone after them. */
export const mariaDbDatabases = () => {
  const prefix = `orders_test_${randomBytes(6).toString("hex")}`
  const server = withoutDatabase(testServer)
  const made: Array<string> = []
  const used: Array<string> = []
  afterAll(() => queryMariaDb(server, ...made.map((name) => `DROP DATABASE ${name}`)))

  /** The URL of a new one. The server's own character set holds not all of Unicode. */
  const fresh = Effect.promise(async () => {
    const name = `${prefix}_${made.length}`
    await queryMariaDb(server, `CREATE DATABASE ${name} CHARACTER SET latin1`)
    made.push(name)
    return Object.assign(new URL(testServer), { pathname: `/${name}` }).href
  })
  /** The URL of one that has no orders. To make the tables anew for each test would take long. */
  const clean = Effect.acquireRelease(
    Effect.suspend(() => {
      const url = used.pop()
      return url === undefined
        ? fresh
        : Effect.as(
            Effect.promise(() => queryMariaDb(url, ...empty)),
            url
          )
    }),
    (url) => Effect.sync(() => used.push(url))
  )
  return { fresh, clean }
}

/** The repository on a database without orders. */
export const mariaDbRepo = ({ clean }: ReturnType<typeof mariaDbDatabases>) =>
  Layer.unwrapScoped(Effect.map(Effect.flatMap(clean, serverBy), (server) => OrdersRepoMariaDb.layer(server)))
