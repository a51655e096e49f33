import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Option, TestClock } from "effect"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import * as OrdersRepoPostgres from "../../../src/store/postgres/OrdersRepoPostgres.ts"
import { hasPostgres, postgresSchemas, queryPostgres, serverBy, unlessPostgres } from "../../support/Postgres.ts"
import { claim, find, insert, record, write } from "../../support/RepoKit.ts"
import { config } from "../../support/TestLayers.ts"

describe.skipIf(!hasPostgres)(`What PostgreSQL prepares${unlessPostgres}`, () => {
  const schemas = postgresSchemas()

  it.live("while few orders are there reads no table from end to end when there are many", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const server = yield* serverBy(url)
      const query = (statement: string) => Effect.promise(() => queryPostgres(url, statement))
      const many = Arr.range(1, 10)
      /** Often enough for the server to keep one plan for all values. */
      const work = (first: number) =>
        Effect.forEach(many, (n) => {
          const [id, key] = [first + n, first + n]
          return Effect.gen(function* () {
            yield* write(insert(id), claim(key), record(key, 1))
            yield* find(id)
            const repo = yield* OrdersRepo
            yield* repo.window("open", 10)
            yield* repo.list({ user_id: "1" }, Option.none(), 5)
            yield* repo.changes({}, 0, 5)
          })
        })
      yield* Effect.gen(function* () {
        yield* work(0)
        yield* query("VACUUM ANALYZE")
        yield* work(many.length)
      }).pipe(Effect.provide(OrdersRepoPostgres.layer(server)), Effect.provide(config()))
      // The sessions have ended, and with that have told what they read.
      const read = yield* query(
        "SELECT relname AS name, seq_tup_read AS rows FROM pg_stat_user_tables WHERE schemaname = current_schema() ORDER BY 1"
      )
      assert.includeDeepMembers(
        [...read],
        [
          { name: "changes", rows: "0" },
          { name: "orders", rows: "0" },
          { name: "pruned", rows: "0" }
        ]
      )
    })
  )

  it.effect("while few orders are there does not go through all of them for each when there are many", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const server = yield* serverBy(url)
      const [few, many] = [10, 3000]
      const claimAndRecord = (key: number) => Effect.zipRight(write(claim(key)), write(record(key, 1)))
      yield* Effect.gen(function* () {
        const first = Arr.range(1, few)
        yield* Effect.forEach(first, (n) => Effect.zipRight(write(insert(n)), claimAndRecord(n)))
        yield* write(...Arr.map(Arr.range(few + 1, few + many), (n) => insert(n)))
        yield* TestClock.adjust("2 seconds")
        yield* Effect.forEach(Arr.range(few + 1, few + 40), claimAndRecord)
      }).pipe(Effect.provide(OrdersRepoPostgres.layer(server)), Effect.provide(config()))
      const [read] = yield* Effect.promise(() =>
        queryPostgres(
          url,
          "SELECT idx_tup_read::int AS entries FROM pg_stat_user_indexes WHERE indexrelname = 'orders_pkey' AND schemaname = current_schema()"
        )
      )
      // Reading all for each would be 240,000.
      assert.isBelow(Number(read?.entries), 10_000)
    })
  )
})
