import { assert, describe, it } from "@effect/vitest"
import {
  Array as Arr,
  Clock,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Exit,
  Layer,
  Option,
  Queue,
  Random,
  Scope,
  TestClock
} from "effect"
import { AppConfig } from "../src/AppConfig.ts"
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

const write = (command: Command) => Effect.flatMap(GroupCommit, (commits) => commits.write(command))
const insert = (id: number | string) => write(Command.Insert({ order: newOrder(id) }))
const cancel = (id: number | string) => write(Command.Cancel({ order_id: OrderId.make(String(id)) }))

const millisOf = (time: Option.Option<DateTime.Utc>) => DateTime.toEpochMillis(Option.getOrThrow(time))

/** Enough turns of the event loop for every fiber to get as far as it can. */
const settle = Effect.repeatN(
  Effect.async<void>((resume) => {
    setImmediate(() => resume(Effect.void))
  }),
  20
)

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

/** The same for an order that is put back after an attempt. */
const untilPostponed = (id: number | string) =>
  Effect.gen(function* () {
    const events = yield* OrderEvents
    const reached = yield* Deferred.make<void>()
    yield* events.listen(({ changes }) => {
      if (
        changes.some(
          ({ attempts, order_id, status }) => order_id === String(id) && status === "Pending" && attempts > 0
        )
      ) {
        Deferred.unsafeDone(reached, Effect.void)
      }
    })
    const now = yield* find(id)
    if (now.status !== "Pending" || now.attempts === 0) yield* Deferred.await(reached)
    return yield* find(id)
  }).pipe(Effect.scoped)

const finished = (id: number | string) => untilStatus(id, "Completed", "Failed")

const cyclic: { self?: unknown } = {}
cyclic.self = cyclic

describe("OrderWorkers", () => {
  it.effect("every way to fail ends an order's only attempt as Failed with its reason, and no worker", () => {
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
        engine({ settings: { maxAttempts: 1 } }, (order) => {
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
          engine({ settings: { attemptTimeout: Duration.seconds(10), maxAttempts: 1 } }, (order) =>
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

  it.effect("an attempt that failed is made again when the backoff says, and an order is Completed at last", () =>
    Effect.gen(function* () {
      const starts: Array<readonly [at: number, run: number, attempt: number]> = []
      yield* Effect.gen(function* () {
        yield* insert(1)
        const first = yield* untilPostponed(1)
        // 0.75 of the caps: 0.75 of 10 s, then 0.75 of 20 s.
        assert.strictEqual(millisOf(first.next_attempt_at), 7500)
        assert.strictEqual(Option.getOrThrow(first.last_error).code, "no_stock")
        yield* TestClock.setTime(7499)
        yield* settle
        assert.strictEqual(starts.length, 1)
        yield* TestClock.setTime(7500)
        yield* settle
        assert.strictEqual(millisOf((yield* find(1)).next_attempt_at), 22_500)
        yield* TestClock.setTime(22_499)
        yield* settle
        assert.strictEqual(starts.length, 2)
        yield* TestClock.setTime(22_500)
        const order = yield* finished(1)
        assert.deepStrictEqual(starts, [
          [0, 1, 1],
          [7500, 2, 2],
          [22_500, 3, 3]
        ])
        assert.strictEqual(order.status, "Completed")
        assert.strictEqual(order.attempts, 3)
        assert.isTrue(Option.isNone(order.last_error))
        assert.isTrue(Option.isNone(order.next_attempt_at))
      }).pipe(
        Effect.provide(
          engine({ repo: sqlRepo, settings: { retryBase: Duration.seconds(10) } }, (_order, { attempt, run }) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => {
              starts.push([now, run, attempt])
              return attempt < 3 ? new Retryable({ code: "no_stock", message: "later" }) : Effect.void
            })
          )
        ),
        Effect.withRandom(Random.fixed([0.75]))
      )
    })
  )

  /** The waits before each further attempt of an order that always fails, as they are written. */
  const waits = (
    settings: Settings,
    random: Random.Random,
    fail: () => Effect.Effect<never, Retryable | Unavailable>
  ) =>
    Effect.gen(function* () {
      const found: Array<number> = []
      const noting = Layer.effect(
        OrdersRepo,
        Effect.map(OrdersRepo, (repo) =>
          OrdersRepo.of({
            ...repo,
            write: (commands) => {
              for (const { at, outcome } of commands.filter(Command.$is("Record"))) {
                if (outcome._tag === "Postponed") found.push(DateTime.distance(at, outcome.dueAt))
              }
              return repo.write(commands)
            }
          })
        )
      ).pipe(Layer.provide(memoryRepo))
      const order = yield* Effect.gen(function* () {
        const events = yield* OrderEvents
        const ends = yield* Queue.unbounded<string>()
        yield* events.listen(({ changes }) => {
          for (const { from, status } of changes) if (Option.contains(from, "Processing")) ends.unsafeOffer(status)
        })
        yield* insert(1)
        while ((yield* Queue.take(ends)) === "Pending") yield* TestClock.adjust(found.at(-1) ?? 0)
        return yield* find(1)
      }).pipe(Effect.scoped, Effect.provide(engine({ repo: noting, settings }, fail)), Effect.withRandom(random))
      return { waits: found, order }
    })

  const later = () => new Retryable({ code: "no_stock", message: "later" })
  const backoff = { retryBase: Duration.millis(100), retryMax: Duration.seconds(3), maxAttempts: 10 }

  it.effect("the cap of the backoff doubles up to RETRY_MAX; the last attempt ends in Failed with its error", () =>
    Effect.gen(function* () {
      const longest = yield* waits(backoff, Random.fixed([1]), later)
      assert.deepStrictEqual(longest.waits, [100, 200, 400, 800, 1600, 3000, 3000, 3000, 3000])
      assert.deepStrictEqual([longest.order.status, longest.order.attempts], ["Failed", 10])
      const error = Option.getOrThrow(longest.order.last_error)
      assert.deepStrictEqual([error.code, error.message, error.attempt], ["no_stock", "later", 10])
      assert.isTrue(Option.isSome(longest.order.finished_at))
    })
  )

  it.effect("full jitter: every wait lies between nothing and the cap, and they are spread over it", () =>
    Effect.gen(function* () {
      const caps = [100, 200, 400, 800, 1600, 3000, 3000, 3000, 3000]
      const shares: Array<number> = []
      for (let seed = 0; seed < 20; seed++) {
        const one = yield* waits(backoff, Random.make(seed), later)
        assert.strictEqual(one.waits.length, 9)
        for (const [wait, cap] of Arr.zip(one.waits, caps)) {
          assert.isTrue(wait >= 0 && wait <= cap, `${wait} of ${cap}`)
          shares.push(wait / cap)
        }
      }
      const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length
      assert.isTrue(mean > 0.4 && mean < 0.6, `mean ${mean}`)
      assert.isBelow(Math.min(...shares), 0.1)
      assert.isAbove(Math.max(...shares), 0.9)
    })
  )

  it.effect("a processor's own delay is waited in place of the backoff, however long", () =>
    Effect.gen(function* () {
      for (const fail of [
        () => new Retryable({ message: "later", delay: Duration.seconds(20) }),
        () => new Unavailable({ message: "down", delay: Duration.seconds(20) })
      ]) {
        const { waits: found } = yield* waits({ ...backoff, maxAttempts: 3 }, Random.fixed([1]), fail)
        assert.deepStrictEqual(found, [20_000, 20_000])
      }
    })
  )

  it.effect("every passing failure is tried again, and no other", () => {
    const ways: Record<string, Effect.Effect<unknown, Retryable | Permanent | Unavailable>> = {
      retryable: new Retryable({ message: "later" }),
      unavailable: new Unavailable({ message: "down" }),
      defect: Effect.die(new Error("boom")),
      interrupted: Effect.interrupt,
      timeout: Effect.never,
      bad_address: new Permanent({ code: "bad_address", message: "no" }),
      invalid_result: Effect.succeed(cyclic)
    }
    return Effect.gen(function* () {
      for (const code of Object.keys(ways)) {
        const isPassing = code !== "bad_address" && code !== "invalid_result"
        yield* insert(code)
        if (code === "timeout") {
          yield* untilStatus(code, "Processing")
          yield* settle
          yield* TestClock.adjust("30 seconds")
        }
        const order = yield* isPassing ? untilPostponed(code) : finished(code)
        assert.strictEqual(order.status, isPassing ? "Pending" : "Failed")
        assert.strictEqual(order.attempts, 1)
        assert.strictEqual(Option.getOrThrow(order.last_error).code, code)
        if (!isPassing) continue
        yield* TestClock.setTime(millisOf(order.next_attempt_at))
        assert.strictEqual((yield* finished(code)).status, "Completed")
      }
    }).pipe(
      Effect.provide(
        engine({}, (order, { attempt }) => (attempt === 1 ? (ways[order.order_id] ?? Effect.void) : Effect.void))
      )
    )
  })

  it.effect("an order that waits for a retry holds no worker, and takes its turn by due time", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      yield* Effect.gen(function* () {
        yield* insert("retried")
        const waiting = yield* untilPostponed("retried")
        const dueAt = millisOf(waiting.next_attempt_at)
        for (const id of ["a", "b", "c"]) {
          yield* insert(id)
          assert.strictEqual((yield* finished(id)).status, "Completed")
        }
        yield* TestClock.setTime(dueAt)
        assert.strictEqual((yield* finished("retried")).attempts, 2)
        assert.deepStrictEqual(order, ["retried", "a", "b", "c", "retried"])
      }).pipe(
        Effect.provide(
          engine({}, ({ order_id }, { attempt }) => {
            order.push(order_id)
            return order_id === "retried" && attempt === 1 ? new Retryable({ message: "later" }) : Effect.void
          })
        ),
        Effect.withRandom(Random.fixed([0.5]))
      )
    })
  )

  it.effect("a retry that is due while thousands of new orders wait: both make progress, each in its turn", () =>
    Effect.gen(function* () {
      const half = 1000
      const begun: Array<string> = []
      const gate = yield* Effect.makeLatch(true)
      const all = yield* Deferred.make<void>()
      const submit = (from: number) =>
        Effect.forEach(Arr.range(from, from + half - 1), insert, { concurrency: "unbounded", discard: true })
      yield* Effect.gen(function* () {
        yield* insert("retried")
        yield* untilPostponed("retried")
        yield* gate.close
        yield* TestClock.setTime(500)
        yield* submit(1)
        yield* TestClock.setTime(1500)
        yield* submit(1 + half)
        yield* gate.open
        yield* Deferred.await(all)
        const expected = [...Arr.range(1, half), "retried", ...Arr.range(1 + half, 2 * half)].map(String)
        assert.deepStrictEqual(begun, ["retried", ...expected])
      }).pipe(
        Effect.provide(
          engine({ repo: sqlRepo, settings: { queueCapacity: 50 } }, ({ order_id }, { attempt }) => {
            begun.push(order_id)
            if (begun.length === 2 * half + 2) Deferred.unsafeDone(all, Effect.void)
            return order_id === "retried" && attempt === 1
              ? new Retryable({ message: "later", delay: Duration.seconds(1) })
              : gate.await
          })
        )
      )
    })
  )

  it.effect("a retry survives a restart, and is made when it is due", () => {
    const starts: Array<number> = []
    const process: Process = (_order, { attempt }) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        starts.push(now)
        return attempt === 1 ? new Retryable({ message: "later", delay: Duration.minutes(1) }) : Effect.void
      })
    return Effect.gen(function* () {
      // The same file is opened twice; the settings are those of the test.
      const settings = yield* AppConfig
      const again = <A, E>(
        body: Effect.Effect<A, E, GroupCommit | OrdersRepo | OrderEvents>
      ): Effect.Effect<A, unknown> =>
        Effect.provide(body, engine({ repo: sqlRepo, settings: { ...settings, workers: 1 } }, process))
      const before = yield* again(Effect.zipRight(insert(1), untilPostponed(1)))
      yield* TestClock.setTime(30_000)
      yield* again(
        Effect.gen(function* () {
          assert.deepStrictEqual({ ...(yield* find(1)) }, { ...before })
          yield* TestClock.setTime(59_999)
          yield* settle
          assert.deepStrictEqual(starts, [0])
          yield* TestClock.setTime(60_000)
          const order = yield* finished(1)
          assert.deepStrictEqual([order.status, order.attempts], ["Completed", 2])
          assert.deepStrictEqual(starts, [0, 60_000])
        })
      )
    }).pipe(Effect.provide(config()))
  })

  for (const ignores of [false, true]) {
    it.effect(
      `a cancel frees the worker at once${ignores ? ", even if the attempt ignores it, whose end changes nothing" : ""}`,
      () =>
        Effect.gen(function* () {
          const end = yield* Deferred.make<void>()
          const begun = yield* Deferred.make<void>()
          const ended = yield* Deferred.make<boolean>()
          const attempt = Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(end)).pipe(
            Effect.onExit((exit) => Deferred.succeed(ended, Exit.isSuccess(exit)))
          )
          yield* Effect.gen(function* () {
            yield* insert("long")
            yield* Deferred.await(begun)
            const cancelled = yield* cancel("long")
            assert.isTrue(cancelled._tag === "Acted" && cancelled.changed)
            // The one worker takes the next order without any time passing.
            yield* insert("next")
            assert.strictEqual((yield* finished("next")).status, "Completed")
            const order = yield* find("long")
            assert.strictEqual(order.status, "Cancelled")
            if (ignores) yield* Deferred.succeed(end, undefined)
            assert.strictEqual(yield* Deferred.await(ended), ignores)
            yield* settle
            assert.deepStrictEqual({ ...(yield* find("long")) }, { ...order })
          }).pipe(
            Effect.provide(
              engine({}, ({ order_id }) =>
                order_id === "long" ? (ignores ? Effect.uninterruptible(attempt) : attempt) : Effect.void
              )
            )
          )
        })
    )
  }

  it.effect("an order cancelled while its outcome cannot be written, and asked for again, is worked again", () =>
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
        // The first worker holds the order, and tries again a second later.
        yield* Deferred.await(failed)
        yield* cancel(1)
        failing = false
        yield* write(Command.Reopen({ order_id: OrderId.make("1") }))
        const order = yield* finished(1)
        assert.deepStrictEqual([order.status, order.result], ["Completed", Option.some(2)])
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual({ ...(yield* find(1)) }, { ...order })
      }).pipe(
        Effect.provide(
          engine({ repo: Layer.succeed(OrdersRepo, flaky), settings: { workers: 2 } }, (_order, { run }) =>
            Effect.succeed(run)
          )
        )
      )
    }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))
  )

  it.effect("a cancel racing completion 1,000 times: one of the two, and the canceller is told which", () =>
    Effect.gen(function* () {
      const gates = new Map<string, Effect.Latch>()
      const gate = (id: string) => {
        const latch = gates.get(id) ?? Effect.unsafeMakeLatch(false)
        gates.set(id, latch)
        return latch
      }
      const ids = Arr.makeBy(1000, (index) => String(index))
      yield* Effect.gen(function* () {
        const finals = new Map<string, Array<string>>()
        const events = yield* OrderEvents
        yield* events.listen(({ changes }) => {
          for (const { order_id, status } of changes) {
            if (status === "Pending" || status === "Processing") continue
            finals.set(order_id, [...(finals.get(order_id) ?? []), status])
          }
        })
        const random = Random.make("race")
        const turn = Effect.async<void>((resume) => {
          setImmediate(() => resume(Effect.void))
        })
        const counts = { Completed: 0, Cancelled: 0 }
        yield* Effect.forEach(
          ids,
          (id) =>
            Effect.gen(function* () {
              yield* insert(id)
              yield* untilStatus(id, "Processing")
              const [early, late] = [yield* random.nextIntBetween(0, 3), yield* random.nextIntBetween(0, 3)]
              const [answer] = yield* Effect.all(
                [
                  Effect.zipRight(Effect.repeatN(turn, early), cancel(id)),
                  Effect.zipRight(Effect.repeatN(turn, late), gate(id).open)
                ],
                { concurrency: 2 }
              )
              const order = yield* untilStatus(id, "Completed", "Cancelled")
              if (answer._tag !== "Acted") return yield* Effect.die(answer)
              assert.strictEqual(answer.order.status, order.status)
              assert.strictEqual(answer.changed, order.status === "Cancelled")
              counts[order.status === "Cancelled" ? "Cancelled" : "Completed"] += 1
            }),
          { concurrency: 20, discard: true }
        )
        yield* settle
        for (const id of ids) assert.deepStrictEqual(finals.get(id), [(yield* find(id)).status])
        // Otherwise there was no race.
        assert.isAbove(counts.Completed, 50)
        assert.isAbove(counts.Cancelled, 50)
        assert.strictEqual(counts.Completed + counts.Cancelled, 1000)
      }).pipe(
        Effect.scoped,
        Effect.provide(engine({ settings: { workers: 20 } }, (order) => gate(order.order_id).await))
      )
    })
  )

  it.effect("suspects are worked one at a time, beside the other workers", () =>
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      const suspects = [1, 2, 3, 4]
      yield* repo.write(Arr.makeBy(4, (index) => Command.Insert({ order: newOrder(index + 1) })))
      for (let loss = 0; loss < 2; loss++) {
        yield* repo.write(Arr.makeBy(4, (index) => Command.Claim({ key: index + 1 })))
        yield* repo.write([Command.Recover({ maxAttempts: 9 })])
      }
      const begun = yield* Queue.unbounded<string>()
      const latches = new Map(suspects.map((id) => [String(id), Effect.unsafeMakeLatch(false)]))
      yield* Effect.gen(function* () {
        for (const id of suspects.map(String)) {
          assert.strictEqual(yield* Queue.take(begun), id)
          // All the open workers do what they do meanwhile, and none of them takes a suspect.
          for (const other of ["a", "b", "c"]) {
            yield* insert(id + other)
            assert.strictEqual((yield* finished(id + other)).status, "Completed")
          }
          yield* settle
          assert.strictEqual(yield* Queue.size(begun), 0)
          assert.strictEqual((yield* repo.totals).Processing, 1)
          yield* latches.get(id)?.open ?? Effect.void
          const order = yield* finished(id)
          assert.deepStrictEqual([order.status, order.attempts], ["Completed", 3])
        }
      }).pipe(
        Effect.provide(
          engine({ repo: Layer.succeed(OrdersRepo, repo), settings: { workers: 3 } }, ({ order_id }) => {
            const latch = latches.get(order_id)
            return latch ? Effect.zipRight(Queue.offer(begun, order_id), latch.await) : Effect.void
          })
        )
      )
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
