import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Pg from "pg"
import { cli } from "../support/CliProcess.ts"
import { hasPostgres, postgresSchemas, unlessPostgres } from "../support/Postgres.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

describe.skipIf(!hasPostgres)(`orders doctor, PostgreSQL${unlessPostgres}`, () => {
  const schemas = postgresSchemas()

  it.scopedLive("gives up what takes too long, says so, and looks at the rest", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const service = yield* startService(yield* temporaryFolder, { DATABASE_URL: url })
      yield* Effect.promise(() => post(service.url, aNewOrder(1)))
      yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const client = new Pg.Client({ connectionString: url })
          await client.connect()
          await client.query("BEGIN; LOCK TABLE failures")
          return client
        }),
        (client) => Effect.promise(() => client.end())
      )
      const { code, stderr, stdout } = yield* cli(["doctor", "--database", url])
      assert.strictEqual(code, 0, stdout + stderr)
      assert.match(stdout, /^service +ok +running$/m)
      assert.match(stdout, /^totals +ok +1 orders, as counted$/m)
      assert.match(stdout, /^listings +ok +not known: to look takes longer than 25 seconds here$/m)
      assert.match(stdout, /^history +ok +\d changes?, the last of each order as the order is$/m)
    })
  )
})
