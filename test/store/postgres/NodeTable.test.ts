import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeNodeTable } from "../../../src/store/postgres/NodeTable.ts"
import * as OrdersRepoPostgres from "../../../src/store/postgres/OrdersRepoPostgres.ts"
import { Client, clientConfig, connectionOf } from "../../../src/store/postgres/PostgresDriver.ts"
import { hasPostgres, postgresSchemas, queryPostgres, serverBy, unlessPostgres } from "../../support/Postgres.ts"
import { config } from "../../support/TestLayers.ts"

const reportOf = (name: string, figures = "{}", up = 5000) => ({ name, role: "all", version: "0.1.0", up, figures })

describe.skipIf(!hasPostgres)(`The table of nodes${unlessPostgres}`, () => {
  const schemas = postgresSchemas()

  /** The table, as two nodes have it, and how to look at it. */
  const nodes = Effect.gen(function* () {
    const url = yield* schemas
    const server = yield* serverBy(url)
    yield* Effect.void.pipe(Effect.provide(OrdersRepoPostgres.layer(server)), Effect.provide(config()))
    const node = makeNodeTable(clientConfig(server, "test"))
    const query = (...statements: ReadonlyArray<string>) => Effect.promise(() => queryPostgres(url, ...statements))
    return { server, one: yield* node, other: yield* node, query }
  })

  it.scopedLive("shows each node what all say of themselves, and for how long each is silent", () =>
    Effect.gen(function* () {
      const { one, other, query } = yield* nodes
      const [first] = yield* one.report(reportOf("one"))
      assert.deepInclude(first, { name: "one", role: "all", version: "0.1.0", figures: "{}", silent: 0 })
      const { heard_at = 0, since = 0 } = first ?? {}
      assert.strictEqual(heard_at - since, 5000)

      yield* query("UPDATE nodes SET heard_at = heard_at - 60000")
      const seen = yield* other.report(reportOf("other"))
      assert.deepStrictEqual(
        seen.map(({ name }) => name),
        ["other", "one"]
      )
      assert.isAtLeast(seen[1]?.silent ?? 0, 60_000)

      const [again] = yield* one.report(reportOf("one", '{"workers":3}', 6000))
      assert.deepInclude(again, { since, figures: '{"workers":3}', silent: 0 })
      assert.isAtLeast(again?.heard_at ?? 0, heard_at)

      yield* one.leave("one")
      assert.lengthOf(yield* other.report(reportOf("other")), 1)
    })
  )

  it.scopedLive("forgets a node after an hour", () =>
    Effect.gen(function* () {
      const { one, other, query } = yield* nodes
      yield* one.report(reportOf("one"))
      yield* query("UPDATE nodes SET heard_at = heard_at - 3600001")
      assert.lengthOf(yield* other.report(reportOf("other")), 1)
      assert.deepStrictEqual(yield* query("SELECT name FROM nodes"), [{ name: "other" }])
    })
  )

  it.scopedLive("waits neither for who changes orders, nor for another node that removes rows", () =>
    Effect.gen(function* () {
      const { one, other, query, server } = yield* nodes
      yield* one.report(reportOf("one"))
      yield* query("UPDATE nodes SET heard_at = heard_at - 3600001")
      const client = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const client = new Client(clientConfig(server, "test"))
          await client.connect()
          return client
        }),
        (client) => Effect.promise(() => client.end())
      )
      const { executeRaw } = connectionOf(client)
      for (const statement of ["BEGIN", "SELECT * FROM totals FOR UPDATE", "DELETE FROM nodes"]) {
        yield* executeRaw(statement, [])
      }
      assert.lengthOf(yield* other.report(reportOf("other")), 1)
      yield* executeRaw("ROLLBACK", [])
    })
  )
})
