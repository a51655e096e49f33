import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { queryPostgres } from "../../support/Postgres.ts"
import { hasServer, serverPassword, startServer, unlessServer } from "../../support/PostgresServer.ts"
import { run } from "../../support/Run.ts"
import { aNewOrder, post, startService } from "../../support/ServiceProcess.ts"
import { temporaryFolder } from "../../support/TestLayers.ts"

const [, commands = ""] = /```sh\n(pg_dump [^`]*)```/.exec(Fs.readFileSync("docs/databases.md", "utf8")) ?? []

describe.skipIf(!hasServer)(`The backup of a PostgreSQL server that docs/databases.md shows${unlessServer}`, () => {
  it.scopedLive("is made while the service runs, and is a database that it starts on", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const server = yield* startServer(folder)
      const administrator = new URL(server.url("postgres"))
      const urlOf = (database: string) => {
        const url = new URL(server.url(database))
        url.username = "orders"
        return url.href
      }
      yield* Effect.promise(() =>
        queryPostgres(
          administrator.href,
          `CREATE ROLE orders LOGIN PASSWORD '${serverPassword}'`,
          "CREATE DATABASE orders OWNER orders ENCODING 'UTF8' TEMPLATE template0"
        )
      )
      const first = yield* startService(folder, { DATABASE_URL: urlOf("orders") })
      assert.strictEqual((yield* Effect.promise(() => post(first.url, aNewOrder(1)))).status, 202)
      assert.include(commands, "pg_restore")
      yield* run(folder, "bash", ["-ec", commands], {
        PGHOST: administrator.hostname,
        PGPORT: administrator.port,
        PGUSER: administrator.username,
        PGPASSWORD: serverPassword
      })
      const second = yield* startService(folder, { DATABASE_URL: urlOf("orders_restored") })
      assert.strictEqual((yield* Effect.promise(() => post(second.url, aNewOrder(1)))).status, 200)
      assert.strictEqual((yield* Effect.promise(() => post(second.url, aNewOrder(2)))).status, 202)
    })
  )
})
