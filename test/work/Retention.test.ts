import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Duration, Effect, Layer, Option } from "effect"
import { Orders } from "../../src/Orders.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import { OrderId } from "../../src/order/Order.ts"
import { fingerprint } from "../../src/order/OrderContent.ts"
import { GroupCommit } from "../../src/store/GroupCommit.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { RetentionLive } from "../../src/work/Retention.ts"
import { adjust, jumping } from "../support/JumpingClock.ts"
import { anInsert, config, memoryRepo, newOrder, type Settings } from "../support/TestLayers.ts"

const id = (order: number) => OrderId.make(String(order))
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

  const changes = Effect.flatMap(OrdersRepo, (repo) =>
    Effect.map(repo.changes({}, 0, 100), ({ found }) => found.map(({ to }) => to))
  )

  it.effect("removes changes that are older than HISTORY, though RETENTION is off, and no order", () =>
    Effect.gen(function* () {
      const orders = yield* Orders
      yield* cancelled
      yield* adjust("1 minute")
      yield* orders.retry(id(1))
      assert.deepStrictEqual(yield* changes, ["Pending", "Cancelled", "Pending"])
      yield* adjust("1 minute")
      assert.deepStrictEqual(yield* changes, ["Pending"])
      yield* adjust("1 minute")
      assert.deepStrictEqual(yield* changes, [])
      assert.strictEqual((yield* orders.find(id(1))).status, "Pending")
    }).pipe(Effect.provide(service({ history: Option.some(Duration.seconds(90)) })), jumping)
  )

  it.effect("removes many, and goes on until none is left", () =>
    Effect.gen(function* () {
      const commits = yield* GroupCommit
      yield* commits.writeAll(Arr.map(Arr.range(1, 1100), (order) => anInsert(order)))
      for (const _ of Arr.range(1, 3)) yield* adjust("1 minute")
      yield* adjust("1 second")
      const { historyRange } = yield* OrdersRepo
      assert.deepStrictEqual(yield* historyRange, { from: 1101, last: 1100 })
    }).pipe(Effect.provide(service({ history: Option.some(Duration.seconds(90)) })), jumping)
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
