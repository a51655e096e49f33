import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Clock, Deferred, Duration, Effect, Exit, Layer, Option, Scope, TestClock } from "effect"
import type { AppConfig } from "../src/AppConfig.ts"
import { Command } from "../src/Command.ts"
import { GroupCommit } from "../src/GroupCommit.ts"
import { Metrics } from "../src/Metrics.ts"
import { Order, OrderId, StorageUnavailable } from "../src/Order.ts"
import { OrderEvents } from "../src/OrderEvents.ts"
import { OrderProcessor, Permanent, Retryable, Unavailable } from "../src/OrderProcessor.ts"
import { OrderQueue } from "../src/OrderQueue.ts"
import { OrdersRepo } from "../src/OrdersRepo.ts"
import { OrderWorkersLive } from "../src/OrderWorkers.ts"
import { config, memoryRepo, newOrder, processor, type Settings, sqlRepo } from "./TestLayers.ts"

type Process = Parameters<typeof processor>[0]

/** Everything behind HTTP. */
const engine = (
  options: { readonly settings?: Settings; readonly repo?: Layer.Layer<OrdersRepo, unknown, AppConfig> },
  process: Process | Layer.Layer<OrderProcessor>
) => {
  const repo: Layer.Layer<OrdersRepo, unknown, AppConfig> = options.repo ?? memoryRepo
  return OrderWorkersLive.pipe(
    Layer.provide(typeof process === "function" ? processor(process) : process),
    Layer.provideMerge(OrderQueue.layer),
    Layer.provideMerge(Metrics.layer),
    Layer.provideMerge(GroupCommit.layer),
    Layer.provideMerge(OrderEvents.layer),
    Layer.provideMerge(repo),
    Layer.provideMerge(config({ workers: 1, ...options.settings }))
  )
}

const insert = (id: number | string) =>
  Effect.flatMap(GroupCommit, (_) => _.write(Command.Insert({ order: newOrder(id) })))

const find = (id: number | string) =>
  Effect.flatMap(OrdersRepo, (repo) => repo.find(OrderId.make(String(id)))).pipe(Effect.flatten)

/** Does something, and waits until the commit that the predicate describes has been told. */
const untilStatus = (id: number | string, ...statuses: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const events = yield* OrderEvents
    const reached = yield* Deferred.make<void>()
    yield* events.listen(({ changes }) => {
      if (changes.some((change) => change.order_id === String(id) && statuses.includes(change.status))) {
        Deferred.unsafeDone(reached, Effect.void)
      }
    })
    const now = yield* Effect.option(find(id))
    if (Option.isNone(now) || !statuses.includes(now.value.status)) yield* Deferred.await(reached)
    return yield* find(id)
  }).pipe(Effect.scoped)

const finished = (id: number | string) => untilStatus(id, "Completed", "Failed")

const cyclic: { self?: unknown } = {}
cyclic.self = cyclic

describe("OrderWorkers", () => {
  it.effect("every way to fail ends the order Failed with its reason, and no worker", () => {
    const ways: Record<string, { readonly code: string; readonly process: ReturnType<Process> | (() => never) }> = {
      retryable: { code: "retryable", process: Effect.fail(new Retryable({ message: "later" })) },
      coded: { code: "no_stock", process: Effect.fail(new Retryable({ code: "no_stock", message: "later" })) },
      permanent: { code: "bad_address", process: Effect.fail(new Permanent({ code: "bad_address", message: "no" })) },
      unavailable: { code: "unavailable", process: Effect.fail(new Unavailable({ message: "down" })) },
      defect: { code: "defect", process: Effect.die(new Error("boom")) },
      thrown: {
        code: "defect",
        process: () => {
          throw new Error("boom")
        }
      },
      interrupted: { code: "interrupted", process: Effect.interrupt },
      cyclic: { code: "invalid_result", process: Effect.succeed(cyclic) },
      function: { code: "invalid_result", process: Effect.succeed(() => 1) },
      large: { code: "invalid_result", process: Effect.succeed("x".repeat(70_000)) }
    }
    return Effect.gen(function* () {
      for (const [id, { code }] of Object.entries(ways)) {
        yield* insert(id)
        const order = yield* finished(id)
        assert.strictEqual(order.status, "Failed")
        const error = yield* order.last_error
        assert.strictEqual(error.code, code)
        assert.strictEqual(error.attempt, 1)
        assert.isTrue(Option.isSome(order.finished_at))
      }
      yield* insert("good")
      assert.strictEqual((yield* finished("good")).status, "Completed")
    }).pipe(
      Effect.provide(
        engine({}, (order) => {
          const process = ways[order.order_id]?.process ?? Effect.void
          return typeof process === "function" ? process() : process
        })
      )
    )
  })

  it.effect("codes and messages are cut to size", () =>
    Effect.gen(function* () {
      yield* insert(1)
      const error = yield* (yield* finished(1)).last_error
      assert.strictEqual(error.code.length, 64)
      assert.strictEqual(error.message.length, 1024)
    }).pipe(
      Effect.provide(
        engine({}, () => Effect.fail(new Permanent({ code: "c".repeat(1000), message: "m".repeat(5000) })))
      )
    )
  )

  it.effect("a result is kept, the processor gets the order, the run and the attempt", () =>
    Effect.gen(function* () {
      yield* insert(1)
      const order = yield* finished(1)
      assert.deepStrictEqual(order.result, Option.some({ order_id: "1", run: 1, attempt: 1 }))
    }).pipe(
      Effect.provide(
        engine({ repo: sqlRepo }, ({ order_id }, { attempt, run }) => Effect.succeed({ order_id, run, attempt }))
      )
    )
  )

  it.effect("an attempt that takes too long fails with `timeout`, even if it will not be interrupted", () =>
    Effect.gen(function* () {
      const end = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      yield* Effect.gen(function* () {
        yield* insert("stuck")
        yield* untilStatus("stuck", "Processing")
        yield* TestClock.adjust("10 seconds")
        const order = yield* finished("stuck")
        assert.strictEqual((yield* order.last_error).code, "timeout")
        // The one worker is free again although the attempt still runs.
        yield* insert("next")
        assert.strictEqual((yield* finished("next")).status, "Completed")
        // Its late outcome changes nothing.
        yield* Deferred.succeed(end, undefined)
        yield* Deferred.await(ended)
        assert.strictEqual((yield* find("stuck")).status, "Failed")
      }).pipe(
        Effect.provide(
          engine({ settings: { attemptTimeout: Duration.seconds(10) } }, (order) =>
            order.order_id === "stuck"
              ? Effect.uninterruptible(Effect.ensuring(Deferred.await(end), Deferred.succeed(ended, undefined)))
              : Effect.void
          )
        )
      )
    })
  )

  it.effect("an order is claimed only when the processor is ready", () =>
    Effect.gen(function* () {
      const ready = yield* Deferred.make<void>()
      const asked = yield* Deferred.make<void>()
      yield* Effect.gen(function* () {
        yield* insert(1)
        yield* Deferred.await(asked)
        assert.strictEqual((yield* find(1)).status, "Pending")
        yield* Deferred.succeed(ready, undefined)
        assert.strictEqual((yield* finished(1)).status, "Completed")
      }).pipe(
        Effect.provide(
          engine(
            {},
            Layer.succeed(OrderProcessor, {
              ready: Effect.zipRight(Deferred.succeed(asked, undefined), Deferred.await(ready)),
              process: () => Effect.void
            })
          )
        )
      )
    })
  )

  it.effect("what a crash left Processing is worked again, as a counted attempt under a new run", () =>
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      yield* repo.write([Command.Insert({ order: newOrder(1) }), Command.Claim({ key: 1 })])
      yield* Effect.gen(function* () {
        const order = yield* finished(1)
        assert.strictEqual(order.attempts, 2)
        assert.deepStrictEqual(order.result, Option.some(2))
      }).pipe(
        Effect.provide(engine({ repo: Layer.succeed(OrdersRepo, repo) }, (_order, { run }) => Effect.succeed(run)))
      )
    }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))
  )

  it.effect("a shutdown lets attempts finish within the grace, then puts the rest back uncounted", () =>
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      const started = yield* Effect.all([Deferred.make<void>(), Deferred.make<void>()])
      const finish = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        engine({ repo: Layer.succeed(OrdersRepo, repo), settings: { workers: 2 } }, (order) => {
          const [quick, slow] = started
          return order.order_id === "quick"
            ? Effect.zipRight(Deferred.succeed(quick, undefined), Deferred.await(finish))
            : Effect.zipRight(Deferred.succeed(slow, undefined), Effect.never)
        }),
        scope
      )
      yield* Effect.provide(Effect.all([insert("quick"), insert("slow"), insert("waiting")]), context)
      yield* Effect.forEach(started, Deferred.await)

      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(finish, undefined)
      yield* Effect.provide(finished("quick"), context)
      yield* TestClock.adjust("25 seconds")
      yield* closing

      const rows = yield* Effect.forEach(["quick", "slow", "waiting"], (id) => find(id))
      assert.deepStrictEqual(
        rows.map(({ attempts, status }) => [status, attempts]),
        [
          ["Completed", 1],
          ["Pending", 0],
          ["Pending", 0]
        ]
      )
    }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))
  )

  it.effect("a worker keeps its order until the outcome is committed", () =>
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      const failed = yield* Deferred.make<void>()
      let failing = true
      const flaky = OrdersRepo.of({
        ...repo,
        write: (commands) =>
          failing && Arr.some(commands, Command.$is("Record"))
            ? Effect.zipRight(Deferred.succeed(failed, undefined), new StorageUnavailable({}))
            : repo.write(commands)
      })
      yield* Effect.gen(function* () {
        yield* insert(1)
        yield* Deferred.await(failed)
        assert.strictEqual((yield* find(1)).status, "Processing")
        failing = false
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* finished(1)).attempts, 1)
      }).pipe(Effect.provide(engine({ repo: Layer.succeed(OrdersRepo, flaky) }, () => Effect.void)))
    }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))
  )
})

describe("the simulated processor", () => {
  const simulated = (settings: Settings) =>
    Effect.provide(OrderProcessor, Layer.provide(OrderProcessor.layerSimulated, config(settings)))

  /** The milliseconds after which runs of this processor end, and how many of them fail. */
  const observe = (settings: Settings, ids: ReadonlyArray<number>, run = 1) =>
    Effect.gen(function* () {
      const { process } = yield* simulated(settings)
      const order = yield* stored
      const ends = yield* Effect.forEach(
        ids,
        (id) =>
          Effect.exit(process(new Order({ ...order, order_id: OrderId.make(String(id)) }), { run, attempt: 1 })).pipe(
            Effect.flatMap((exit) =>
              Effect.map(Clock.currentTimeMillis, (at) => ({ at, failed: Exit.isFailure(exit) }))
            )
          ),
        { concurrency: "unbounded" }
      ).pipe(Effect.fork)
      const startedAt = yield* Clock.currentTimeMillis
      yield* TestClock.adjust("10 seconds")
      return (yield* ends).map(({ at, failed }) => ({ failed, millis: at - startedAt }))
    })

  const stored = Effect.gen(function* () {
    const repo = yield* OrdersRepo
    yield* repo.write([Command.Insert({ order: newOrder(1) })])
    return yield* find(1)
  }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))

  it.effect("takes its time give or take the jitter, and the same for the same order and run", () =>
    Effect.gen(function* () {
      const ids = Arr.range(1, 200)
      const first = yield* observe({ processingJitter: 0.5 }, ids)
      const millis = first.map((end) => end.millis)
      assert.isAtLeast(Math.min(...millis), 1000)
      assert.isAtMost(Math.max(...millis), 3000)
      const mean = millis.reduce((sum, ms) => sum + ms, 0) / millis.length
      assert.isTrue(mean > 1850 && mean < 2150, `mean ${mean}`)
      assert.deepStrictEqual(yield* observe({ processingJitter: 0.5 }, ids), first)
      assert.notDeepEqual(yield* observe({ processingJitter: 0.5 }, ids, 2), first)
    })
  )

  it.effect("fails the given share of attempts", () =>
    Effect.gen(function* () {
      const ends = yield* observe({ processingFailures: 0.2 }, Arr.range(1, 300))
      const share = ends.filter((end) => end.failed).length / ends.length
      assert.isTrue(share > 0.13 && share < 0.27, `share ${share}`)
      assert.isTrue((yield* observe({ processingFailures: 0 }, Arr.range(1, 20))).every((end) => !end.failed))
      assert.isTrue((yield* observe({ processingFailures: 1 }, Arr.range(1, 20))).every((end) => end.failed))
    })
  )
})
