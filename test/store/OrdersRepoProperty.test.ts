import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Context, Effect, FastCheck as fc, Layer, Option, TestClock } from "effect"
import type { AppConfig } from "../../src/AppConfig.ts"
import { type Order, OrderId, type Status, transitions } from "../../src/order/Order.ts"
import type { RowKey } from "../../src/order/OrderChange.ts"
import { Command, type Commit, type CommittedChange, type Filter } from "../../src/store/Command.ts"
import { addTo, noTotals } from "../../src/store/CommandGroups.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { longTest } from "../support/Limits.ts"
import { hasMariaDb, mariaDbDatabases, mariaDbRepo, unlessMariaDb } from "../support/MariaDb.ts"
import { hasPostgres, postgresRepo, postgresSchemas, unlessPostgres } from "../support/Postgres.ts"
import {
  at,
  cancel,
  claim,
  completed,
  failed,
  gather,
  listing,
  postponed,
  rebase,
  record,
  recover,
  release,
  released,
  releaseOne,
  reopen,
  reopenMany,
  same,
  sorted
} from "../support/RepoKit.ts"
import { config, memoryRepo, newOrder, sqlRepo } from "../support/TestLayers.ts"

const ids = Arr.range(1, 6)
const anyKey = fc.integer({ min: 1, max: 6 })
const anyOutcome = fc.oneof(
  fc.jsonValue().map((result) => completed(Option.fromNullable(result))),
  fc.string().map((message) => failed(message)),
  fc.integer({ min: 0, max: 400 }).map((wait) => postponed(wait)),
  fc.option(fc.integer({ min: 0, max: 400 }), { nil: undefined }).map(released)
)
const anyFilters: ReadonlyArray<Filter> = [
  {},
  { status: "Pending" },
  { status: "Cancelled" },
  { user_id: "2", status: "Failed" },
  { error_code: "worker_lost" },
  { error_code: "out_of_stock", accepted_before: at(150) },
  { accepted_after: at(100), accepted_before: at(200) }
]
const anyCommand = fc.oneof(
  fc
    .record({ id: fc.constantFrom(...ids), user: fc.integer({ min: 1, max: 2 }), trace: fc.option(fc.string()) })
    .map(({ id, trace, user }) =>
      Command.Insert({ order: newOrder(id, { user_id: user }), traceparent: Option.fromNullable(trace) })
    ),
  anyKey.map(claim),
  fc
    .tuple(anyKey, fc.integer({ min: 1, max: 3 }), anyOutcome, fc.integer({ min: 0, max: 400 }))
    .map((given) => record(...given)),
  fc.option(fc.integer({ min: 1, max: 6 })).map((key) => (key === null ? release : releaseOne(key))),
  fc.integer({ min: 1, max: 3 }).map(recover),
  anyKey.map(cancel),
  anyKey.map(reopen),
  fc.tuple(fc.constantFrom(...anyFilters), fc.uniqueArray(anyKey)).map((given) => reopenMany(...given)),
  fc
    .record({
      by: fc.integer({ min: -300, max: 300 }),
      after: fc.nat(5),
      until: fc.nat(7),
      limit: fc.constantFrom(1, 2, 9)
    })
    .map(({ after, by, limit, until }) => rebase(by, after, until, limit)),
  fc.constant(rebase()),
  fc
    .record({ before: fc.nat(400), asOf: fc.nat(400), limit: fc.integer({ min: 1, max: 3 }) })
    .map(({ asOf, before, limit }) => Command.Prune({ before: at(before), asOf: at(asOf), limit })),
  fc.constant(Command.Probe())
)
const anySteps = fc.array(
  fc.record({ now: fc.integer({ min: 0, max: 300 }), commands: fc.array(anyCommand, { minLength: 1, maxLength: 8 }) }),
  { minLength: 1, maxLength: 8 }
)

const isLegal = (from: Option.Option<Status>, to: Status) =>
  Object.values(transitions).some(
    (step: { readonly from: ReadonlyArray<Status>; readonly to: Status }) =>
      step.to === to &&
      Option.match(from, { onNone: () => step.from.length === 0, onSome: (_) => step.from.includes(_) })
  )

/** What can be seen of a repository. */
const seen = (repo: Context.Tag.Service<OrdersRepo>) =>
  Effect.all({
    orders: Effect.forEach(ids, (id) => repo.find(OrderId.make(String(id)))),
    pruned: Effect.forEach(ids, (id) => repo.findPruned(OrderId.make(String(id)))),
    retentionTime: repo.retentionTime,
    totals: repo.totals,
    windows: Effect.forEach(Arr.range(0, 4), (limit) => repo.window("open", limit)),
    suspects: Effect.forEach(Arr.range(0, 2), (limit) => repo.window("suspect", limit)),
    pages: Effect.forEach(anyFilters, (filter) => listing(repo, filter, 4, 3)),
    reopenable: Effect.forEach(anyFilters, (filter) =>
      gather(
        (after) =>
          repo.reopenable(
            filter,
            Option.getOrElse(after, () => 0),
            5,
            2,
            2
          ),
        2
      )
    ),
    older: Effect.map(repo.list({}, Option.some(3), 2), ({ found }) => found),
    failures: repo.failures
  })

const changesOf = Option.match({
  onNone: (): ReadonlyArray<CommittedChange> => [],
  onSome: ({ changes }: Commit) => changes
})

/** The history has every change of the orders that are there, by their ids, and each order is as its last change says. */
const checkHistory = Effect.fnUntraced(function* (
  repo: Context.Tag.Service<OrdersRepo>,
  orders: ReadonlyArray<Option.Option<Order>>,
  committed: ReadonlyArray<CommittedChange>
) {
  const { found, next } = yield* repo.changes({}, 0, 1000, 1000)
  assert.isTrue(Option.isNone(next))
  const existing = new Map(Arr.getSomes(orders).map((order) => [order.order_id, order]))
  const [gone, kept] = Arr.partition(committed, ({ order_id }) => existing.has(OrderId.make(order_id)))
  same(
    found,
    kept.map(({ elapsedMillis, ...change }) => change)
  )
  assert.deepStrictEqual(
    committed.map(({ id }) => id),
    Arr.makeBy(committed.length, (index) => index + 1).slice(0, committed.length)
  )
  assert.deepStrictEqual(
    { ...(yield* repo.historyRange) },
    { from: 1 + Math.max(0, ...gone.map(({ id }) => id)), last: committed.length }
  )
  for (const order of existing.values()) {
    const last = found.findLast(({ order_id }) => order_id === order.order_id)
    assert.deepStrictEqual([last?.to, last?.attempt], [order.status, order.attempts])
  }
})

const agrees = (layer: Layer.Layer<OrdersRepo | SqlClient.SqlClient, unknown, AppConfig>, numRuns: number) =>
  it.effect.prop(
    "Both do the same, whatever they are told, and every change is a legal one",
    [anySteps],
    ([steps]) =>
      Effect.gen(function* () {
        const [sqlContext, memoryContext] = [yield* Layer.build(layer), yield* Layer.build(memoryRepo)]
        const sql = Context.get(sqlContext, SqlClient.SqlClient)
        const repo = Context.get(sqlContext, OrdersRepo)
        const memory = Context.get(memoryContext, OrdersRepo)
        const [committed, inMemory] = [Arr.empty<CommittedChange>(), Arr.empty<CommittedChange>()]
        const statuses = new Map<RowKey, Status>()
        const runs = new Map<RowKey, number>()
        let sum = noTotals

        for (const { commands, now } of steps) {
          if (!Arr.isNonEmptyReadonlyArray(commands)) continue
          yield* TestClock.setTime(now)
          const [one, other] = yield* Effect.all([repo.write(commands), memory.write(commands)])
          same(one.results, other.results)
          same(sorted(one.commit), sorted(other.commit))
          const [first, second] = yield* Effect.all([seen(repo), seen(memory)])
          same(first, second)

          committed.push(...changesOf(one.commit))
          inMemory.push(...changesOf(other.commit))
          yield* checkHistory(repo, first.orders, committed)
          yield* checkHistory(memory, second.orders, inMemory)

          for (const change of sorted(one.commit).changes) {
            assert.isTrue(isLegal(change.from, change.to), `${change.from} -> ${change.to}`)
            assert.strictEqual(Option.getOrUndefined(change.from), statuses.get(change.key))
            statuses.set(change.key, change.to)
          }
          for (const result of one.results) {
            if (result._tag !== "Claimed") continue
            const { attempt, key, run } = result.claim
            assert.strictEqual(run, (runs.get(key) ?? 0) + 1)
            assert.isAtMost(attempt, run)
            runs.set(key, run)
          }
          sum = addTo(sum, sorted(one.commit).changes)
          assert.deepStrictEqual({ ...first.totals }, { ...sum })
          const counted = yield* sql<{ status: Status; count: number }>`
          SELECT status, count(*) AS count
          FROM (SELECT status FROM orders UNION ALL SELECT status FROM pruned) AS all_orders
          GROUP BY status`
          const counts = Object.fromEntries(counted.map(({ count, status }) => [status, count]))
          assert.deepStrictEqual({ ...first.totals }, { ...sum, ...counts })
          assert.strictEqual(
            first.orders.filter(Option.isSome).length + first.pruned.filter(Option.isSome).length,
            counted.reduce((sum, { count }) => sum + count, 0)
          )
        }
      }).pipe(Effect.scoped, Effect.provide(config({ maxPending: 3 }))),
    { fastCheck: { numRuns }, timeout: longTest }
  )

agrees(sqlRepo, 60)
// Each run makes all tables anew, which takes a while.
describe.skipIf(!hasPostgres)(`On PostgreSQL${unlessPostgres}`, () => agrees(postgresRepo(postgresSchemas()), 20))
describe.skipIf(!hasMariaDb)(`On MariaDB${unlessMariaDb}`, () => agrees(mariaDbRepo(mariaDbDatabases()), 40))
