import { assert, it } from "@effect/vitest"
import { Array as Arr, DateTime, Effect, Layer, Option, Ref, TestClock } from "effect"
import type { AppConfig } from "../../src/AppConfig.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import { render } from "../../src/observe/Prometheus.ts"
import { StorageUnavailable } from "../../src/order/Order.ts"
import { RowKey } from "../../src/order/OrderChange.ts"
import { Command, Outcome } from "../../src/store/Command.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { anInsert, config, memoryRepo, sqlRepo } from "../support/TestLayers.ts"

const write = Effect.fnUntraced(function* (...commands: Arr.NonEmptyReadonlyArray<Command>) {
  const { commit } = yield* Effect.flatMap(OrdersRepo, (repo) => repo.write(commands))
  if (Option.isSome(commit)) yield* Effect.flatMap(OrderEvents, (events) => events.publish(commit.value))
})
const snapshot = Effect.flatMap(Metrics, (metrics) => metrics.snapshot)
const oldestDue = Effect.map(snapshot, (now) => now.oldest_due_seconds)
const error = { code: "no", message: "no", attempt: 1, at: DateTime.unsafeMake(0) }
const failed = Outcome.Failed({ error })
const claim = (key: number) => Command.Claim({ key: RowKey(key), job: Option.none() })
const work = (key: number, outcome: Outcome) =>
  write(claim(key), Command.Record({ key: RowKey(key), run: 1, outcome, at: DateTime.unsafeMake(0), took: 0 }))

const layerOn = (repo: Layer.Layer<OrdersRepo, unknown, AppConfig>) =>
  Metrics.layer.pipe(
    Layer.provideMerge(OrderEvents.layer),
    Layer.provideMerge(repo),
    Layer.provideMerge(config({ maxPending: 50 }))
  )

for (const [name, repo] of [
  ["SQLite", sqlRepo],
  ["memory", memoryRepo]
] as const) {
  it.scoped(`tells how long the oldest due order has waited, on ${name}`, () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* oldestDue, 0)
      yield* TestClock.setTime(10_000)
      yield* write(anInsert(1))
      yield* TestClock.setTime(12_000)
      yield* write(anInsert(2))
      yield* TestClock.setTime(14_500)
      assert.strictEqual(yield* oldestDue, 4.5)
      const { series } = yield* Metrics
      assert.include(render(yield* series), "\norders_oldest_due_seconds 4.5\n")
      // The first waits for its next attempt, which is not due.
      yield* work(1, Outcome.Postponed({ error, wait: 45_500 }))
      assert.strictEqual(yield* oldestDue, 2.5)
      yield* write(claim(2))
      assert.strictEqual(yield* oldestDue, 0)
      yield* TestClock.setTime(61_000)
      assert.strictEqual(yield* oldestDue, 1)
      // Lost with the process twice, an order is a suspect and waits in another lane.
      yield* write(Command.Cancel({ order_id: anInsert(1).order.order_id, by: Option.none() }))
      yield* write(Command.Recover({ maxAttempts: 9 }))
      yield* write(claim(2))
      yield* write(Command.Recover({ maxAttempts: 9 }))
      assert.isAbove(yield* oldestDue, 1)
    }).pipe(Effect.provide(layerOn(repo)))
  )
}

it.scoped("while the storage does not answer, the oldest due order is the one it was", () =>
  Effect.gen(function* () {
    const isDown = yield* Ref.make(false)
    const flaky = memoryRepo.pipe(
      Layer.flatMap((context) =>
        Layer.effect(
          OrdersRepo,
          Effect.map(Effect.provide(OrdersRepo, context), (repo) => ({
            ...repo,
            firstDueAt: Effect.flatMap(isDown, (down) => (down ? new StorageUnavailable() : repo.firstDueAt))
          }))
        )
      )
    )
    yield* Effect.gen(function* () {
      yield* write(anInsert(1))
      yield* TestClock.setTime(3000)
      assert.strictEqual(yield* oldestDue, 3)
      yield* Ref.set(isDown, true)
      yield* TestClock.setTime(8000)
      assert.strictEqual(yield* oldestDue, 8)
    }).pipe(Effect.provide(layerOn(flaky)))
  })
)

it.scoped("counts the orders refused in the last minute, for a full backlog alone, beside its limit", () =>
  Effect.gen(function* () {
    const { refused } = yield* Metrics
    for (let count = 0; count < 99; count++) refused("BacklogFull")
    for (const problem of ["InvalidRequest", "OrderConflict"]) refused(problem)
    const now = yield* snapshot
    assert.deepStrictEqual([now.orders_refused_last_minute, now.orders_pending_limit], [99, 50])
    yield* TestClock.adjust("59 seconds")
    refused("BacklogFull")
    assert.strictEqual((yield* snapshot).orders_refused_last_minute, 100)
    yield* TestClock.adjust("1 seconds")
    assert.strictEqual((yield* snapshot).orders_refused_last_minute, 1)
    yield* TestClock.adjust("60 seconds")
    assert.strictEqual((yield* snapshot).orders_refused_last_minute, 0)
  }).pipe(Effect.provide(layerOn(memoryRepo)))
)

it.scoped("tells how the last hundred orders ended, for an hour", () =>
  Effect.gen(function* () {
    const finish = (from: number, to: number, outcome: Outcome) =>
      Effect.forEach(Arr.range(from, to), (key) => Effect.zipRight(write(anInsert(key)), work(key, outcome)))
    const last = Effect.map(snapshot, (now) => now.last_finished)
    const completed = Outcome.Completed({ result: Option.none() })
    assert.deepStrictEqual(yield* last, { finished: 0, failed: 0 })
    yield* finish(1, 30, failed)
    yield* finish(31, 40, completed)
    assert.deepStrictEqual(yield* last, { finished: 40, failed: 30 })
    yield* write(anInsert(41))
    yield* write(Command.Cancel({ order_id: anInsert(41).order.order_id, by: Option.none() }))
    assert.deepStrictEqual(yield* last, { finished: 40, failed: 30 })
    assert.strictEqual((yield* snapshot).failed_per_second, 30)
    yield* TestClock.adjust("30 minutes")
    yield* finish(42, 116, completed)
    assert.deepStrictEqual(yield* last, { finished: 100, failed: 15 })
    yield* TestClock.adjust("31 minutes")
    assert.deepStrictEqual(yield* last, { finished: 75, failed: 0 })
  }).pipe(Effect.provide(layerOn(memoryRepo)))
)
