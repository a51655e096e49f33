import { randomBytes } from "node:crypto"
import { afterAll } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Layer, Scope } from "effect"
import * as Pg from "pg"
import { databaseServer } from "../../src/DatabaseServer.ts"
import * as OrdersRepoPostgres from "../../src/store/postgres/OrdersRepoPostgres.ts"

/** The server for tests, by the URL of a database from which others can be made. */
const testServer = process.env.TEST_POSTGRES ?? "postgres://postgres@127.0.0.1:5432/postgres"

/** Runs statements on a connection of their own. */
export const queryPostgres = async (url: string, ...statements: ReadonlyArray<string>) => {
  const client = new Pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 })
  client.on("error", () => {})
  await client.connect()
  try {
    let rows: ReadonlyArray<Readonly<Record<string, unknown>>> = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}

const missing = await queryPostgres(testServer, "SELECT 1").then(
  () => "",
  (cause: unknown) => ` (no PostgreSQL: ${cause instanceof Error ? cause.message : String(cause)})`
)

export const hasPostgres = missing === ""
/** Behind the name of what is skipped without a server. */
export const unlessPostgres = missing

/** The settings that name a database. */
export const serverBy = (url: string) =>
  Effect.withConfigProvider(databaseServer, ConfigProvider.fromMap(new Map([["DATABASE_URL", url]]))).pipe(
    Effect.flatMap(Effect.orDie),
    Effect.orDie
  )

/** A database for the tests of a file, gone after them: the URL of a new schema in it, each time. */
export const postgresSchemas = () => {
  const scope = Effect.runSync(Scope.make())
  const name = `orders_test_${randomBytes(6).toString("hex")}`
  const made = Effect.acquireRelease(
    Effect.promise(() => queryPostgres(testServer, `CREATE DATABASE ${name} ENCODING 'UTF8' TEMPLATE template0`)),
    () => Effect.promise(() => queryPostgres(testServer, `DROP DATABASE ${name} WITH (FORCE)`))
  )
  const database = Effect.runSync(Effect.cached(Scope.extend(made, scope)))
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  let schemas = 0
  return Effect.gen(function* () {
    yield* database
    const url = new URL(testServer)
    url.pathname = `/${name}`
    schemas += 1
    const schema = `test_${schemas}`
    yield* Effect.promise(() => queryPostgres(url.href, `CREATE SCHEMA ${schema}`))
    url.searchParams.set("options", `-c search_path=${schema}`)
    return url.href
  })
}

/** The repository on a schema of its own. */
export const postgresRepo = (schemas: Effect.Effect<string>) =>
  Layer.unwrapEffect(Effect.map(Effect.flatMap(schemas, serverBy), (server) => OrdersRepoPostgres.layer(server)))
