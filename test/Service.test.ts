import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, type Layer, Option } from "effect"
import type { AppConfig } from "../src/AppConfig.ts"
import { type NewOrder, OrderId } from "../src/order/Order.ts"
import { OrderEvents } from "../src/store/OrderEvents.ts"
import { OrdersRepo } from "../src/store/OrdersRepo.ts"
import { longTest } from "./support/Limits.ts"
import { hasPostgres, postgresRepo, postgresSchemas, unlessPostgres } from "./support/Postgres.ts"
import { client, memoryRepo, newOrder, processor, type Settings, service, sqlRepo } from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

const find = (order_id: string) =>
  Effect.flatMap(client, (api) => api.orders.find({ path: { order_id: OrderId.make(order_id) }, urlParams: {} }))

/** A processor that takes a moment, and keeps who was processed how often and how many at once. */
const observed = () => {
  const runs = new Map<string, number>()
  const seen = { now: 0, most: 0 }
  const layer = processor((order) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        runs.set(order.order_id, (runs.get(order.order_id) ?? 0) + 1)
        seen.now += 1
        seen.most = Math.max(seen.most, seen.now)
      }),
      () => Effect.sleep("5 millis"),
      () =>
        Effect.sync(() => {
          seen.now -= 1
        })
    )
  )
  return { layer, runs, seen }
}

const manyAtOnce = (count: number, repo: Layer.Layer<OrdersRepo, unknown, AppConfig>) => {
  const { layer, runs, seen } = observed()
  const settings: Settings = { workers: 20, queueCapacity: 50 }
  return Effect.gen(function* () {
    const api = yield* client
    const events = yield* OrderEvents
    const completions = new Map<string, number>()
    let processing = 0
    let mostProcessing = 0
    yield* events.listen(({ changes, totals }) => {
      for (const { order_id, to } of changes) {
        if (to === "Completed") completions.set(order_id, (completions.get(order_id) ?? 0) + 1)
      }
      processing = totals.Processing
      mostProcessing = Math.max(mostProcessing, processing)
    })

    const ids = Arr.makeBy(count, (index) => index + 1)
    const answers = yield* Effect.forEach(ids, (id) => api.orders.submit({ payload: newOrder(id) }), {
      concurrency: "unbounded"
    })
    assert.deepStrictEqual(
      answers.map((answer) => answer.order_id),
      ids.map(String)
    )

    yield* until(
      Effect.map(api.service.metrics(), (now) => {
        const { orders_cancelled, orders_completed, orders_failed, orders_pending, orders_processing } = now
        const sum = orders_cancelled + orders_completed + orders_failed + orders_pending + orders_processing
        assert.strictEqual(sum, now.total_orders)
        assert.isAtMost(orders_processing, 20)
        return orders_completed === count
      })
    )
    const metrics = yield* api.service.metrics()
    assert.strictEqual(metrics.total_orders, count)
    assert.strictEqual(metrics.total_processed, count)
    assert.isAbove(metrics.average_processing_time, 0.004)
    assert.isAtLeast(metrics.processing_time.p99, metrics.processing_time.p50)

    assert.strictEqual(runs.size, count)
    assert.isTrue([...runs.values()].every((count) => count === 1))
    assert.strictEqual(completions.size, count)
    assert.isTrue([...completions.values()].every((count) => count === 1))
    assert.isAtMost(seen.most, 20)
    assert.isAtMost(mostProcessing, 20)
    const { find } = yield* OrdersRepo
    for (const found of yield* Effect.forEach(ids, (id) => find(OrderId.make(String(id))))) {
      const order = Option.getOrThrow(found)
      assert.strictEqual(order.status, "Completed")
      assert.strictEqual(order.attempts, 1)
    }
  }).pipe(Effect.scoped, Effect.provide(service({ repo, processor: layer, settings })))
}

const submitAll = (orders: ReadonlyArray<NewOrder>) =>
  Effect.flatMap(client, (api) =>
    Effect.forEach(orders, (payload) => api.orders.submit({ payload }), { concurrency: 20 })
  )

describe("Service", { timeout: longTest }, () => {
  const postgres = postgresSchemas()

  it.live("1,000 orders at once over HTTP and SQLite: all accepted, each completed exactly once", () =>
    manyAtOnce(1000, sqlRepo)
  )

  it.live.skipIf(!hasPostgres)(`the same on PostgreSQL${unlessPostgres}`, () =>
    manyAtOnce(1000, postgresRepo(postgres))
  )

  it.live("the same of 200 on the repository in memory", () => manyAtOnce(200, memoryRepo))

  it.live("a small queue and many orders: all completed, started in the order of arrival", () => {
    const started: Array<string> = []
    return Effect.gen(function* () {
      const api = yield* client
      for (const part of Arr.chunksOf(
        Arr.makeBy(150, (index) => newOrder(index + 1)),
        50
      )) {
        yield* Effect.forEach(part, (payload) => api.orders.submit({ payload }))
      }
      yield* until(Effect.map(api.service.metrics(), (now) => now.orders_completed === 150))
      assert.deepStrictEqual(
        started,
        Arr.makeBy(150, (index) => String(index + 1))
      )
    }).pipe(
      Effect.provide(
        service({
          repo: sqlRepo,
          settings: { queueCapacity: 10, workers: 2 },
          processor: processor((order) => Effect.sync(() => void started.push(order.order_id)))
        })
      )
    )
  })

  it.live("a full backlog refuses new orders, stores nothing of them, and still knows the old ones", () =>
    Effect.gen(function* () {
      const hold = yield* Deferred.make<void>()
      yield* Effect.gen(function* () {
        const api = yield* client
        const answers = yield* Effect.forEach(
          Arr.makeBy(150, (index) => index + 1),
          (id) => Effect.either(api.orders.submit({ payload: newOrder(id), withResponse: true })),
          { concurrency: 50 }
        )
        const refused = Arr.filterMap(answers, (answer, index) =>
          answer._tag === "Left" ? Option.some([index + 1, answer.left] as const) : Option.none()
        )
        // One is in the worker's hands, a hundred wait.
        assert.strictEqual(refused.length, 49)
        for (const [id, error] of refused) {
          assert.strictEqual(error._tag, "BacklogFull")
          if (error._tag === "BacklogFull") assert.isTrue(error.retry_after >= 1 && error.retry_after <= 300)
          assert.strictEqual((yield* Effect.flip(find(String(id))))._tag, "OrderNotFound")
        }
        const accepted = answers.findIndex((answer) => answer._tag === "Right") + 1
        const [again] = yield* submitAll([newOrder(accepted)])
        assert.isTrue(again !== undefined && "status" in again)
        assert.strictEqual((yield* api.service.metrics()).total_orders, 101)

        yield* Deferred.succeed(hold, undefined)
        yield* until(Effect.map(api.service.metrics(), (now) => now.orders_completed === 101))
        yield* submitAll([newOrder(1000)])
      }).pipe(
        Effect.provide(
          service({
            repo: sqlRepo,
            settings: { maxPending: 100, workers: 1 },
            processor: processor(() => Deferred.await(hold))
          })
        )
      )
    })
  )
})
