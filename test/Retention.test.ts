import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, DateTime, Duration, Effect, Layer, Option, TestClock } from "effect"
import type { AppConfig } from "../src/AppConfig.ts"
import { Command, Outcome } from "../src/Command.ts"
import { fingerprint } from "../src/Content.ts"
import { GroupCommit } from "../src/GroupCommit.ts"
import { Metrics } from "../src/Metrics.ts"
import { OrderId } from "../src/Order.ts"
import { OrderEvents } from "../src/OrderEvents.ts"
import { Orders } from "../src/Orders.ts"
import { OrdersRepo } from "../src/OrdersRepo.ts"
import { RetentionLive } from "../src/Retention.ts"
import { anInsert, config, memoryRepo, newOrder, type Settings, sqlRepo } from "./TestLayers.ts"

const id = (order: number) => OrderId.make(String(order))
const time = (millis: number) => DateTime.unsafeMake(millis)
const write = (...commands: readonly [Command, ...Array<Command>]) =>
  Effect.flatMap(OrdersRepo, (repo) => repo.write(commands))
const insert = (order: number, rest?: object) => anInsert(order, rest)
const record = (key: number, outcome: Outcome, at: number) => Command.Record({ key, run: 1, outcome, at: time(at) })
const failed = Outcome.Failed({ error: { code: "no", message: "no", attempt: 1, at: time(0) } })
const completed = Outcome.Completed({ result: Option.none() })

/** Orders 1 to 5, accepted at 0: Completed, Failed, Cancelled, Pending, Processing; final at 1000. */
const oneOfEach = Effect.gen(function* () {
  yield* write(insert(1), insert(2), insert(3), insert(4), insert(5))
  yield* write(Command.Claim({ key: 1 }), Command.Claim({ key: 2 }), Command.Claim({ key: 5 }))
  yield* TestClock.setTime(1000)
  yield* write(record(1, completed, 1000), record(2, failed, 1000), Command.Cancel({ order_id: id(3) }))
})

const prune = (before: number, after = 0, limit = 100) =>
  Effect.map(write(Command.Prune({ before: time(before), after, limit })), ({ results }) => results[0])

const kept = Effect.flatMap(OrdersRepo, (repo) =>
  Effect.map(repo.list({}, Option.none(), 100), (rows) => rows.map(({ order }) => Number(order.order_id)).sort())
)

const conformance = (name: string, repo: Layer.Layer<OrdersRepo, unknown, AppConfig>) => {
  const test = <E>(title: string, body: Effect.Effect<void, E, OrdersRepo>) =>
    it.effect(title, () => body.pipe(Effect.provide(repo), Effect.provide(config())))

  describe(`Prune, ${name}`, () => {
    test(
      "removes what is Completed or Cancelled and was so before, and nothing else",
      Effect.gen(function* () {
        yield* oneOfEach
        assert.propertyVal(yield* prune(1000), "count", 0)
        assert.deepStrictEqual(yield* kept, [1, 2, 3, 4, 5])
        assert.propertyVal(yield* prune(1001), "count", 2)
        assert.deepStrictEqual(yield* kept, [2, 4, 5])
        const repo = yield* OrdersRepo
        assert.isTrue(Option.isNone(yield* repo.find(id(1))))
        assert.deepStrictEqual(
          yield* repo.findPruned(id(1)),
          Option.some({
            order_id: id(1),
            fingerprint: fingerprint(newOrder(1)),
            status: "Completed",
            finished_at: time(1000)
          })
        )
        assert.isTrue(Option.isNone(yield* repo.findPruned(id(2))))
      })
    )

    test(
      "keeps the totals",
      Effect.gen(function* () {
        yield* oneOfEach
        const repo = yield* OrdersRepo
        const before = yield* repo.totals
        const { commit } = yield* write(Command.Prune({ before: time(5000), after: 0, limit: 100 }))
        assert.isTrue(Option.isNone(commit))
        assert.deepStrictEqual(yield* repo.totals, before)
      })
    )

    test(
      "goes on where it stopped, a few at a time",
      Effect.gen(function* () {
        yield* oneOfEach
        const first = yield* prune(5000, 0, 2)
        assert.deepInclude(first, { _tag: "Pruned", count: 1, last: Option.some(2) })
        assert.deepInclude(yield* prune(5000, 2, 2), { count: 1, last: Option.some(4) })
        assert.deepInclude(yield* prune(5000, 4, 2), { count: 0, last: Option.some(5) })
        assert.deepInclude(yield* prune(5000, 5, 2), { count: 0, last: Option.none() })
      })
    )

    test(
      "an order of a pruned id is not stored again, and new orders get new keys",
      Effect.gen(function* () {
        yield* write(insert(1))
        yield* write(Command.Cancel({ order_id: id(1) }))
        yield* prune(5000)
        const { commit, results } = yield* write(insert(1), insert(2))
        assert.deepStrictEqual(
          results.map((result) => result._tag),
          ["Gone", "Inserted"]
        )
        assert.deepStrictEqual(
          Option.getOrThrow(commit).changes.map((change) => change.key),
          [2]
        )
        for (const command of [Command.Cancel({ order_id: id(1) }), Command.Reopen({ order_id: id(1) })]) {
          assert.strictEqual((yield* write(command)).results[0]?._tag, "Missing")
        }
      })
    )
  })
}

conformance("SQL", sqlRepo)
conformance("memory", memoryRepo)

describe("fingerprint", () => {
  it("is the same whatever the order of the keys, and another for a list that looks like an object", () => {
    const of = (metadata: object) => fingerprint(newOrder(1, { metadata }))
    assert.strictEqual(of({ a: 1, b: { d: 2, c: 3 } }), of({ b: { c: 3, d: 2 }, a: 1 }))
    assert.notStrictEqual(of({ x: { a: 1 } }), of({ x: [["a", 1]] }))
    assert.notStrictEqual(of({ x: [] }), of({ x: {} }))
  })
})

describe("RetentionLive", () => {
  const service = (settings: Settings) =>
    RetentionLive.pipe(
      Layer.provideMerge(Orders.layer),
      Layer.provideMerge(Metrics.layer),
      Layer.provideMerge(GroupCommit.layer),
      Layer.provideMerge(OrderEvents.layer),
      Layer.provideMerge(memoryRepo),
      Layer.provideMerge(config(settings))
    )
  /** Lets a minute pass in small steps: the commits take turns of the real event loop. */
  const aMinute = Effect.forEach(Arr.range(1, 240), () =>
    Effect.zipRight(
      TestClock.adjust("250 millis"),
      Effect.promise(() => new Promise(setImmediate))
    )
  )

  const cancelled = Effect.gen(function* () {
    const orders = yield* Orders
    const order = newOrder(1, { metadata: { b: 1, a: [1, { d: 1, c: 2 }] } })
    yield* orders.accept(order)
    yield* orders.cancel(id(1))
  })

  it.effect("removes what is older; the same order again is a replay, other content a conflict, the rest is gone", () =>
    Effect.gen(function* () {
      const orders = yield* Orders
      yield* cancelled
      yield* aMinute
      assert.strictEqual((yield* orders.find(id(1))).status, "Cancelled")
      yield* aMinute
      yield* aMinute
      for (const act of [orders.find(id(1)), orders.cancel(id(1)), orders.retry(id(1))]) {
        const error = yield* Effect.flip(act)
        assert.deepInclude(error, { _tag: "OrderGone", order_status: "Cancelled" })
      }
      const again = yield* orders.accept(
        newOrder(1, { metadata: { a: [1, { c: 2, d: 1 }], b: 1 }, total_amount: "250.70" })
      )
      assert.deepStrictEqual(again.replay, Option.some("Cancelled"))
      const conflict = yield* Effect.flip(orders.accept(newOrder(1)))
      assert.deepInclude(conflict, { _tag: "OrderConflict", fields: [] })
    }).pipe(Effect.provide(service({ retention: Option.some(Duration.seconds(90)) })))
  )

  it.effect("removes nothing unless it is set", () =>
    Effect.gen(function* () {
      const orders = yield* Orders
      yield* cancelled
      yield* aMinute
      yield* aMinute
      yield* aMinute
      assert.strictEqual((yield* orders.find(id(1))).status, "Cancelled")
    }).pipe(Effect.provide(service({ retention: Option.none() })))
  )
})
