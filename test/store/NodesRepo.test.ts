import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Context, DateTime, Effect, Layer, Option } from "effect"
import { AppConfig } from "../../src/AppConfig.ts"
import { OrderId } from "../../src/order/Order.ts"
import { Command, Outcome } from "../../src/store/Command.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import * as OrdersRepoPostgres from "../../src/store/postgres/OrdersRepoPostgres.ts"
import { nodesRepo } from "../support/NodesRepo.ts"
import { hasPostgres, postgresSchemas, queryPostgres, serverBy, unlessPostgres } from "../support/Postgres.ts"
import { claim, insert, record } from "../support/RepoKit.ts"
import { changeSuite } from "./conformance/Suite.ts"

changeSuite(`OrdersRepoSql.layer of a node on PostgreSQL${unlessPostgres}`, nodesRepo(postgresSchemas()), hasPostgres)

describe.skipIf(!hasPostgres)(`A node on PostgreSQL${unlessPostgres}`, () => {
  const schemas = postgresSchemas()
  const open = (url: string) =>
    Effect.map(
      Effect.flatMap(serverBy(url), (server) => Layer.build(OrdersRepoPostgres.layer(server))),
      Context.get(OrdersRepo)
    )

  it.scopedLive("repeats a transaction in which a statement of the engine met a deadlock", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const schema = (new URL(url).searchParams.get("options") ?? "").replace(/^.*=/, "")
      const { write } = yield* open(url)
      yield* Effect.promise(() =>
        queryPostgres(
          url,
          "CREATE SEQUENCE tries",
          `CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF nextval('${schema}.tries') = 1 THEN RAISE EXCEPTION 'a deadlock' USING ERRCODE = '40P01'; END IF;
              RETURN NEW;
            END $$`,
          `CREATE TRIGGER fail_once BEFORE INSERT ON pgboss_${schema}.job_common FOR EACH ROW EXECUTE FUNCTION fail_once()`
        )
      )
      const { commit, results } = yield* write([insert(1)])
      assert.deepStrictEqual(
        results.map(({ _tag }) => _tag),
        ["Inserted"]
      )
      const { changes, totals } = Option.getOrThrow(commit)
      assert.deepStrictEqual([changes.map(({ id }) => id), totals.Pending], [[1], 1])
      // The ids go on where they were before it was repeated.
      const next = Option.getOrThrow((yield* write([insert(2), insert(3)])).commit)
      assert.deepStrictEqual(
        next.changes.map(({ id }) => id),
        [2, 3]
      )
      const tries = yield* Effect.promise(() => queryPostgres(url, "SELECT last_value::int AS last FROM tries"))
      assert.deepStrictEqual(tries, [{ last: 4 }])
    }).pipe(Effect.provide(AppConfig.layerTest({ queue: "pg-boss" })))
  )

  it.scopedLive("counts the orders that are due and wait, up to a number", () =>
    Effect.gen(function* () {
      const { nodes, write } = yield* open(yield* schemas)
      const { due } = Option.getOrThrow(nodes)
      assert.strictEqual(yield* due(10), 0)
      yield* write(Arr.map(Arr.range(1, 4), (key) => insert(key)))
      yield* write([claim(1), claim(2)])
      const error = { code: "busy", message: "Later", attempt: 1, at: DateTime.unsafeMake(0) }
      yield* write([record(2, 1, Outcome.Postponed({ error, wait: 3_600_000 }))])
      assert.deepStrictEqual([yield* due(10), yield* due(1)], [2, 1])
    }).pipe(Effect.provide(AppConfig.layerTest({ queue: "pg-boss" })))
  )

  const withoutHistory = AppConfig.layerTest({ queue: "pg-boss", history: Option.none() })
  const ids = ({ found }: { readonly found: ReadonlyArray<{ readonly id: number }> }) => found.map(({ id }) => id)

  it.scopedLive("keeps changes for the other nodes alone where HISTORY is off", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const one = yield* open(url)
      yield* one.write([insert(1), insert(2)])
      // The first has not read them yet.
      const other = yield* open(url)
      yield* other.write([claim(1)])
      assert.deepStrictEqual(ids(yield* Option.getOrThrow(one.nodes).changes(0, 10)), [1, 2, 3])
      for (const { changes, historyRange } of [one, other]) {
        assert.deepStrictEqual(yield* historyRange, { from: 4, last: 3 })
        assert.deepStrictEqual(ids(yield* changes({}, 0, 10)), [])
        assert.deepStrictEqual(ids(yield* changes({ order_id: OrderId.make("1") }, 0, 10)), [])
      }
    }).pipe(Effect.provide(withoutHistory))
  )

  it.scopedLive("hides the history from those who resume once HISTORY is off, and goes on with it later", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const kept = AppConfig.layerTest({ queue: "pg-boss" })
      const before = yield* Effect.provide(open(url), kept)
      yield* before.write([insert(1)])
      const without = yield* Effect.provide(open(url), withoutHistory)
      assert.deepStrictEqual(yield* without.historyRange, { from: 2, last: 1 })
      yield* without.write([insert(2)])
      const after = yield* Effect.provide(open(url), kept)
      yield* after.write([insert(3)])
      assert.deepStrictEqual(yield* after.historyRange, { from: 3, last: 3 })
      // A node that still has none.
      assert.deepStrictEqual(yield* without.historyRange, { from: 4, last: 3 })
      assert.deepStrictEqual(ids(yield* Option.getOrThrow(before.nodes).changes(0, 10)), [1, 2, 3])
    })
  )

  it.scopedLive("removes all but the last hundred thousand of the changes that are kept for nodes", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const { nodes, write } = yield* open(url)
      const { changes, trim } = Option.getOrThrow(nodes)
      yield* write([insert(1)])
      assert.deepStrictEqual(yield* trim(0), Option.none())
      const last = 101_500
      yield* Effect.promise(() =>
        queryPostgres(
          url,
          `INSERT INTO changes (id, seq, to_status, at, run, attempt, reason)
            SELECT more.id, seq, to_status, at, run, attempt, reason FROM changes, generate_series(2, ${last}) AS more (id)`,
          `UPDATE totals SET last_change = ${last}`
        )
      )
      const isKeptFrom = (id: number) =>
        Effect.promise(() => queryPostgres(url, `UPDATE totals SET history_from = ${id}`))
      yield* isKeptFrom(1)
      assert.deepStrictEqual(yield* trim(0), Option.none())
      yield* isKeptFrom(501)
      assert.deepStrictEqual(yield* trim(0), Option.some(500))
      yield* isKeptFrom(last + 1)
      assert.deepStrictEqual(yield* trim(500), Option.some(1500))
      assert.deepStrictEqual(yield* trim(1500), Option.none())
      assert.deepStrictEqual(ids(yield* changes(0, 2)), [1501, 1502])
      assert.deepStrictEqual(ids(yield* changes(last - 1, 2)), [last])
    }).pipe(Effect.provide(withoutHistory))
  )

  it.scopedLive("has one suspect in hand at a time, of all nodes", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const node = Effect.map(open(url), ({ nodes, write }) => ({
        write,
        fetch: Option.getOrThrow(nodes).fetch("suspect", 2)
      }))
      const [one, other] = [yield* node, yield* node]
      const keys = Arr.range(1, 3)
      yield* one.write(Arr.map(keys, (key) => insert(key)))
      for (const _ of [1, 2]) {
        yield* one.write(Arr.map(keys, (key) => claim(key)))
        yield* one.write([Command.Recover({ maxAttempts: 5 })])
      }
      const worked: Array<number> = []
      for (const [has, waits] of [
        [one, other],
        [other, one],
        [one, other]
      ] as const) {
        const [job, ...more] = yield* has.fetch
        assert.isDefined(job)
        if (job === undefined) return
        assert.deepStrictEqual([more, yield* waits.fetch, yield* has.fetch], [[], [], []])
        yield* has.write([Command.Claim({ key: job.key, job: Option.some(job) })])
        assert.deepStrictEqual(yield* waits.fetch, [])
        yield* has.write([record(job.key, 3)])
        worked.push(job.key)
      }
      assert.sameMembers(worked, keys)
    }).pipe(Effect.provide(AppConfig.layerTest({ queue: "pg-boss" })))
  )
})
