import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Layer, Option, TestClock } from "effect"
import type { AppConfig } from "../../src/AppConfig.ts"
import { Orders } from "../../src/Orders.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import { OrderId } from "../../src/order/Order.ts"
import { RowKey } from "../../src/order/OrderChange.ts"
import { fingerprint } from "../../src/order/OrderContent.ts"
import { Command, Outcome } from "../../src/store/Command.ts"
import { GroupCommit } from "../../src/store/GroupCommit.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { RetentionLive } from "../../src/work/Retention.ts"
import { adjust, jumping } from "../support/JumpingClock.ts"
import { anInsert, config, memoryRepo, newOrder, type Settings, sqlRepo } from "../support/TestLayers.ts"

const id = (order: number) => OrderId.make(String(order))
const time = (millis: number) => DateTime.unsafeMake(millis)
const write = (...commands: readonly [Command, ...Array<Command>]) =>
  Effect.flatMap(OrdersRepo, (repo) => repo.write(commands))
const insert = (order: number, rest?: object) => anInsert(order, rest)
const record = (key: number, outcome: Outcome, at: number) =>
  Command.Record({ key: RowKey(key), run: 1, outcome, at: time(at), took: at })
const failed = Outcome.Failed({ error: { code: "no", message: "no", attempt: 1, at: time(0) } })
const completed = Outcome.Completed({ result: Option.none() })

/** Orders 1 to 5, accepted at 0: Completed, Failed, Cancelled, Pending, Processing; final at 1000. */
const oneOfEach = Effect.gen(function* () {
  yield* write(insert(1), insert(2), insert(3), insert(4), insert(5))
  yield* write(Command.Claim({ key: RowKey(1) }), Command.Claim({ key: RowKey(2) }), Command.Claim({ key: RowKey(5) }))
  yield* TestClock.setTime(1000)
  yield* write(record(1, completed, 1000), record(2, failed, 1000), Command.Cancel({ order_id: id(3) }))
})

const prune = (before: number, limit = 100, asOf = before) =>
  Effect.map(write(Command.Prune({ before: time(before), asOf: time(asOf), limit })), ({ results }) => results[0])

const kept = Effect.flatMap(OrdersRepo, (repo) =>
  Effect.map(repo.list({}, Option.none(), 100), ({ found }) => found.map(({ order }) => Number(order.order_id)).sort())
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
        const { commit } = yield* write(Command.Prune({ before: time(5000), asOf: time(5000), limit: 100 }))
        assert.isTrue(Option.isNone(commit))
        assert.deepStrictEqual(yield* repo.totals, before)
      })
    )

    test(
      "removes a few at a time, those first that were final first, whenever they were accepted",
      Effect.gen(function* () {
        // Accepted under a clock that was ahead, which does not keep them.
        yield* TestClock.setTime(10_000)
        yield* write(insert(1), insert(2), insert(3))
        for (const [key, at] of [
          [2, 1000],
          [3, 2000],
          [1, 3000]
        ] as const) {
          yield* TestClock.setTime(at)
          yield* write(Command.Cancel({ order_id: id(key) }))
        }
        assert.deepInclude(yield* prune(3000, 1), { _tag: "Pruned", count: 1 })
        assert.deepStrictEqual(yield* kept, [1, 3])
        assert.deepInclude(yield* prune(3000, 2), { count: 1 })
        assert.deepStrictEqual(yield* kept, [1])
        assert.deepInclude(yield* prune(3000, 2), { count: 0 })
        assert.deepInclude(yield* prune(3001, 2), { count: 1 })
      })
    )

    test(
      "remembers what time it was; before the first time, when the newest order was accepted",
      Effect.gen(function* () {
        const { retentionTime } = yield* OrdersRepo
        assert.deepStrictEqual(yield* retentionTime, Option.none())
        yield* TestClock.setTime(7000)
        yield* write(insert(1))
        yield* TestClock.setTime(5000)
        yield* write(insert(2))
        assert.deepStrictEqual(yield* retentionTime, Option.some(time(5000)))
        yield* prune(0, 1, 9000)
        assert.deepStrictEqual(yield* retentionTime, Option.some(time(9000)))
        yield* prune(0, 1, 8000)
        assert.deepStrictEqual(yield* retentionTime, Option.some(time(8000)))
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
      yield* adjust("1 minute")
      assert.strictEqual((yield* orders.find(id(1))).status, "Cancelled")
      yield* adjust("1 minute")
      yield* adjust("1 minute")
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
    }).pipe(Effect.provide(service({ retention: Option.some(Duration.seconds(90)) })), jumping)
  )

  it.effect("removes nothing unless it is set", () =>
    Effect.gen(function* () {
      const orders = yield* Orders
      yield* cancelled
      yield* adjust("1 minute")
      yield* adjust("1 minute")
      yield* adjust("1 minute")
      assert.strictEqual((yield* orders.find(id(1))).status, "Cancelled")
    }).pipe(Effect.provide(service({ retention: Option.none() })), jumping)
  )
})
