import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import * as Mysql from "mysql2/promise"
import * as Pg from "pg"
import { cli } from "../support/CliProcess.ts"
import { hasMariaDb, mariaDbDatabases, queryMariaDb, unlessMariaDb } from "../support/MariaDb.ts"
import { hasMariaDbServer, startMariaDbServer, unlessMariaDbServer } from "../support/MariaDbServer.ts"
import { hasPostgres, postgresSchemas, unlessPostgres } from "../support/Postgres.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

type Lock = (url: string) => Effect.Effect<unknown, never, Scope.Scope>

const givesUp = (fresh: Effect.Effect<string>, lockFailures: Lock) =>
  it.scopedLive("gives up what takes too long, says so, and looks at the rest", () =>
    Effect.gen(function* () {
      const url = yield* fresh
      const service = yield* startService(yield* temporaryFolder, { DATABASE_URL: url })
      yield* Effect.promise(() => post(service.url, aNewOrder(1)))
      yield* lockFailures(url)
      const { code, stderr, stdout } = yield* cli(["doctor", "--database", url])
      assert.strictEqual(code, 0, stdout + stderr)
      assert.match(stdout, /^service +ok +running$/m)
      assert.match(stdout, /^totals +ok +1 orders, as counted$/m)
      assert.match(stdout, /^listings +ok +not known: to look takes longer than 25 seconds here$/m)
      assert.match(stdout, /^history +ok +\d changes?, the last of each order as the order is$/m)
    })
  )

// What they wait for is the same on both servers: they wait at the same time.
describe.skipIf(!hasPostgres).concurrent(`orders doctor, PostgreSQL${unlessPostgres}`, () => {
  givesUp(postgresSchemas(), (url) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const client = new Pg.Client({ connectionString: url })
        await client.connect()
        await client.query("BEGIN; LOCK TABLE failures")
        return client
      }),
      (client) => Effect.promise(() => client.end())
    )
  )
})

describe.skipIf(!hasMariaDb).concurrent(`orders doctor, MariaDB${unlessMariaDb}`, () => {
  givesUp(mariaDbDatabases().fresh, (url) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const client = await Mysql.createConnection(url)
        await client.query("LOCK TABLES failures WRITE")
        return client
      }),
      (client) => Effect.promise(() => client.end())
    )
  )
})

describe.skipIf(!hasMariaDbServer)(`orders doctor, a MariaDB server${unlessMariaDbServer}`, () => {
  it.scopedLive("warns of settings that weaken the promise", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { url } = yield* startMariaDbServer(folder)
      yield* Effect.scoped(startService(folder, { DATABASE_URL: url }))
      assert.strictEqual((yield* cli(["doctor", "--database", url])).code, 0)
      yield* Effect.promise(() => queryMariaDb(url, "SET GLOBAL innodb_flush_log_at_trx_commit = 2"))
      const { code, stdout } = yield* cli(["doctor", "--database", url])
      assert.strictEqual(code, 1)
      assert.match(stdout, /^durability +warning +innodb_flush_log_at_trx_commit is 2: /m)
    })
  )
})
