import { assert, describe, it } from "@effect/vitest"
import {
  Array as Arr,
  Clock,
  Context,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Exit,
  Layer,
  Option,
  Queue,
  Random,
  Scope
} from "effect"
import { AppConfig } from "../../src/AppConfig.ts"
import { Order, OrderId, StorageUnavailable } from "../../src/order/Order.ts"
import { RowKey } from "../../src/order/OrderChange.ts"
import { EngineLive } from "../../src/Service.ts"
import { Command } from "../../src/store/Command.ts"
import { GroupCommit } from "../../src/store/GroupCommit.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { CircuitBreaker } from "../../src/work/CircuitBreaker.ts"
import { OrderProcessor, Permanent, Retryable, type Run, Unavailable } from "../../src/work/OrderProcessor.ts"
import * as JumpingClock from "../support/JumpingClock.ts"
import { longTest } from "../support/Limits.ts"
import { anInsert, config, memoryRepo, newOrder, processor, type Settings, sqlRepo } from "../support/TestLayers.ts"
import { turn, turns, untilInTurns } from "../support/Until.ts"

/** A test on a clock that jumps. */
const effect = <A, E>(name: string, body: () => Effect.Effect<A, E, Scope.Scope>, timeout?: number) =>
  it.scoped(name, () => JumpingClock.jumping(Effect.suspend(body)), timeout)

type Process = Parameters<typeof processor>[0]

/** Everything behind HTTP. */
const engine = (
  options: { readonly settings?: Settings; readonly repo?: Layer.Layer<OrdersRepo, unknown, AppConfig> },
  process: Process | Layer.Layer<OrderProcessor>
) => {
  const repo: Layer.Layer<OrdersRepo, unknown, AppConfig> = options.repo ?? memoryRepo
  return EngineLive.pipe(
    Layer.provide(typeof process === "function" ? processor(process) : process),
    Layer.provideMerge(repo),
    Layer.provideMerge(config({ workers: 1, ...options.settings }))
  )
}

const write = (command: Command) => Effect.flatMap(GroupCommit, (commits) => commits.write(command))
const insert = (id: number | string) => write(anInsert(id))
const cancel = (id: number | string) => write(Command.Cancel({ order_id: OrderId.make(String(id)), by: Option.none() }))

const millisOf = (time: Option.Option<DateTime.Utc>) => DateTime.toEpochMillis(Option.getOrThrow(time))

const find = (id: number | string) =>
  Effect.flatMap(OrdersRepo, (repo) => repo.find(OrderId.make(String(id)))).pipe(Effect.flatten)

/** Waits until a commit has brought the order into one of these statuses. */
const untilStatus = (id: number | string, ...statuses: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const events = yield* OrderEvents
    const reached = yield* Deferred.make<void>()
    yield* events.listen(({ changes }) => {
      if (changes.some((change) => change.order_id === String(id) && statuses.includes(change.to))) {
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
      if (changes.some(({ attempt, order_id, to }) => order_id === String(id) && to === "Pending" && attempt > 0)) {
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
  effect("every way to fail ends an order's only attempt as Failed with its reason, and no worker", () => {
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

  effect("codes and messages are cut to size", () =>
    Effect.gen(function* () {
      yield* insert(1)
      const error = yield* (yield* finished(1)).last_error
      assert.strictEqual(error.code.length, 128)
      assert.strictEqual(error.message.length, 1024)
    }).pipe(
      Effect.provide(
        engine({}, () => Effect.fail(new Permanent({ code: "c".repeat(1000), message: "m".repeat(5000) })))
      )
    )
  )

  effect("a result is kept, the processor gets the order, the run and the attempt", () =>
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

  effect("an attempt that takes too long fails with `timeout`, even if it will not be interrupted", () =>
    Effect.gen(function* () {
      const end = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      yield* Effect.gen(function* () {
        yield* insert("stuck")
        yield* untilStatus("stuck", "Processing")
        yield* JumpingClock.adjust("10 seconds")
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

  effect("an order is claimed only when the processor is ready", () =>
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

  effect("what a crash left Processing is worked again, as a counted attempt under a new run", () =>
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      yield* repo.write([anInsert(1), Command.Claim({ key: RowKey(1), job: Option.none() })])
      yield* Effect.gen(function* () {
        const order = yield* finished(1)
        assert.strictEqual(order.attempts, 2)
        assert.deepStrictEqual(order.result, Option.some(2))
      }).pipe(
        Effect.provide(engine({ repo: Layer.succeed(OrdersRepo, repo) }, (_order, { run }) => Effect.succeed(run)))
      )
    }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))
  )

  effect("a shutdown lets attempts finish within the grace, then puts the rest back uncounted", () =>
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
      yield* JumpingClock.adjust("25 seconds")
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

  effect("a worker keeps its order until the outcome is committed", () =>
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
        yield* JumpingClock.adjust("2 seconds")
        assert.strictEqual((yield* finished(1)).attempts, 1)
      }).pipe(Effect.provide(engine({ repo: Layer.succeed(OrdersRepo, flaky) }, () => Effect.void)))
    }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))
  )

  effect("an attempt that failed is made again when the backoff says, and an order is Completed at last", () =>
    Effect.gen(function* () {
      const starts: Array<readonly [at: number, run: number, attempt: number]> = []
      yield* Effect.gen(function* () {
        yield* insert(1)
        const first = yield* untilPostponed(1)
        // 0.75 of the caps: 0.75 of 10 s, then 0.75 of 20 s.
        assert.strictEqual(millisOf(first.next_attempt_at), 7500)
        assert.strictEqual(Option.getOrThrow(first.last_error).code, "no_stock")
        yield* JumpingClock.setTime(7499)
        yield* turns
        assert.strictEqual(starts.length, 1)
        yield* JumpingClock.setTime(7500)
        yield* turns
        assert.strictEqual(millisOf((yield* find(1)).next_attempt_at), 22_500)
        yield* JumpingClock.setTime(22_499)
        yield* turns
        assert.strictEqual(starts.length, 2)
        yield* JumpingClock.setTime(22_500)
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
              for (const { outcome } of commands.filter(Command.$is("Record"))) {
                if (outcome._tag === "Postponed") found.push(outcome.wait)
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
          for (const { from, to } of changes) if (Option.contains(from, "Processing")) ends.unsafeOffer(to)
        })
        yield* insert(1)
        while ((yield* Queue.take(ends)) === "Pending") yield* JumpingClock.adjust(found.at(-1) ?? 0)
        return yield* find(1)
      }).pipe(Effect.scoped, Effect.provide(engine({ repo: noting, settings }, fail)), Effect.withRandom(random))
      return { waits: found, order }
    })

  const later = () => new Retryable({ code: "no_stock", message: "later" })
  const backoff = { retryBase: Duration.millis(100), retryMax: Duration.seconds(3), maxAttempts: 10 }

  effect("the cap of the backoff doubles up to RETRY_MAX; the last attempt ends in Failed with its error", () =>
    Effect.gen(function* () {
      const longest = yield* waits(backoff, Random.fixed([1]), later)
      assert.deepStrictEqual(longest.waits, [100, 200, 400, 800, 1600, 3000, 3000, 3000, 3000])
      assert.deepStrictEqual([longest.order.status, longest.order.attempts], ["Failed", 10])
      const error = Option.getOrThrow(longest.order.last_error)
      assert.deepStrictEqual([error.code, error.message, error.attempt], ["no_stock", "later", 10])
      assert.isTrue(Option.isSome(longest.order.finished_at))
    })
  )

  effect(
    "full jitter: every wait lies between nothing and the cap, and they are spread over it",
    () =>
      Effect.gen(function* () {
        const caps = [100, 200, 400, 800, 1600, 3000, 3000, 3000, 3000]
        const shares: Array<number> = []
        for (let seed = 0; seed < 10; seed++) {
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
      }),
    longTest
  )

  effect("no attempt is made before the delay that a processor asks for is over", () =>
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

  effect("every passing failure is tried again, and no other", () => {
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
          yield* turns
          yield* JumpingClock.adjust("30 seconds")
        }
        const order = yield* isPassing ? untilPostponed(code) : finished(code)
        assert.strictEqual(order.status, isPassing ? "Pending" : "Failed")
        assert.strictEqual(order.attempts, 1)
        assert.strictEqual(Option.getOrThrow(order.last_error).code, code)
        if (!isPassing) continue
        yield* JumpingClock.setTime(millisOf(order.next_attempt_at))
        assert.strictEqual((yield* finished(code)).status, "Completed")
      }
    }).pipe(
      Effect.provide(
        engine({}, (order, { attempt }) => (attempt === 1 ? (ways[order.order_id] ?? Effect.void) : Effect.void))
      )
    )
  })

  effect("an order that waits for a retry holds no worker, and takes its turn by due time", () =>
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
        yield* JumpingClock.setTime(dueAt)
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

  effect(
    "a retry that is due while hundreds of new orders wait: both make progress, each in its turn",
    () =>
      Effect.gen(function* () {
        const half = 100
        const begun: Array<string> = []
        const gate = yield* Effect.makeLatch(true)
        const all = yield* Deferred.make<void>()
        const submit = (from: number) =>
          Effect.forEach(Arr.range(from, from + half - 1), insert, { concurrency: "unbounded", discard: true })
        yield* Effect.gen(function* () {
          yield* insert("retried")
          yield* untilPostponed("retried")
          yield* gate.close
          yield* JumpingClock.setTime(500)
          yield* submit(1)
          yield* JumpingClock.setTime(1500)
          yield* submit(1 + half)
          yield* gate.open
          yield* Deferred.await(all)
          const expected = [...Arr.range(1, half), "retried", ...Arr.range(1 + half, 2 * half)].map(String)
          assert.deepStrictEqual(begun, ["retried", ...expected])
        }).pipe(
          Effect.provide(
            engine({ repo: sqlRepo, settings: { queueCapacity: 10 } }, ({ order_id }, { attempt }) => {
              begun.push(order_id)
              if (begun.length === 2 * half + 2) Deferred.unsafeDone(all, Effect.void)
              return order_id === "retried" && attempt === 1
                ? new Retryable({ message: "later", delay: Duration.seconds(1) })
                : gate.await
            })
          )
        )
      }),
    longTest
  )

  effect("a retry survives a restart, and is made when it is due", () => {
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
      yield* JumpingClock.setTime(30_000)
      yield* again(
        Effect.gen(function* () {
          assert.deepStrictEqual({ ...(yield* find(1)) }, { ...before })
          yield* JumpingClock.setTime(59_999)
          yield* turns
          assert.deepStrictEqual(starts, [0])
          yield* JumpingClock.setTime(60_000)
          const order = yield* finished(1)
          assert.deepStrictEqual([order.status, order.attempts], ["Completed", 2])
          assert.deepStrictEqual(starts, [0, 60_000])
        })
      )
    }).pipe(Effect.provide(config()))
  })

  for (const ignores of [false, true]) {
    effect(
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
            yield* turns
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

  effect("an order cancelled while its outcome cannot be written, and asked for again, is worked again", () =>
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
        yield* write(Command.Reopen({ order_id: OrderId.make("1"), by: Option.none() }))
        const order = yield* finished(1)
        assert.deepStrictEqual([order.status, order.result], ["Completed", Option.some(2)])
        yield* JumpingClock.adjust("5 seconds")
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

  effect(
    "a cancel racing completion 1,000 times: one of the two, and the canceller is told which",
    () =>
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
            for (const { order_id, to } of changes) {
              if (to === "Pending" || to === "Processing") continue
              finals.set(order_id, [...(finals.get(order_id) ?? []), to])
            }
          })
          const random = Random.make("race")
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
          yield* turns
          for (const id of ids) assert.deepStrictEqual(finals.get(id), [(yield* find(id)).status])
          // Otherwise there was no race.
          assert.isAbove(counts.Completed, 50)
          assert.isAbove(counts.Cancelled, 50)
          assert.strictEqual(counts.Completed + counts.Cancelled, 1000)
        }).pipe(
          Effect.scoped,
          Effect.provide(engine({ settings: { workers: 20 } }, (order) => gate(order.order_id).await))
        )
      }),
    longTest
  )

  effect("suspects are worked one at a time, beside the other workers", () =>
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      const suspects = [1, 2, 3, 4]
      yield* repo.write(Arr.makeBy(4, (index) => anInsert(index + 1)))
      for (let loss = 0; loss < 2; loss++) {
        yield* repo.write(Arr.makeBy(4, (index) => Command.Claim({ key: RowKey(index + 1), job: Option.none() })))
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
          yield* turns
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

/** A shop that answers everything the same, and the runs it was given. */
const makeShop = () => {
  const down: ReturnType<Process> = new Unavailable({ message: "down" })
  const shop = {
    answer: down,
    runs: [] as { readonly order_id: string; readonly attempt: number; readonly idempotencyKey: string }[],
    process: ({ order_id }: Order, { attempt, idempotencyKey }: Run) =>
      Effect.suspend(() => {
        shop.runs.push({ order_id, attempt, idempotencyKey })
        return shop.answer
      })
  }
  return shop
}

const totals = Effect.flatMap(OrdersRepo, (repo) => repo.totals)
const allOrders = Effect.flatMap(OrdersRepo, (repo) => repo.list({}, Option.none(), 10_000, 10_000)).pipe(
  Effect.map(({ found }) => found.map(({ order }) => order))
)
const attemptsOf = (orders: ReadonlyArray<Order>) => orders.reduce((sum, { attempts }) => sum + attempts, 0)
const breaker = Effect.flatMap(CircuitBreaker, ({ state }) => state)

const untilBreaker = (state: string) => untilInTurns(Effect.map(breaker, (it) => it.state === state))
const untilProcessing = (count: number) => untilInTurns(Effect.map(totals, ({ Processing }) => Processing === count))

const untilProbe = Effect.flatMap(breaker, ({ next_probe_at }) => JumpingClock.setTime(millisOf(next_probe_at)))

/** Makes the next probe, which fails: who it was. Nobody else is claimed, before it or with it. */
const failedProbe = (shop: ReturnType<typeof makeShop>) =>
  Effect.gen(function* () {
    const { next_probe_at } = yield* breaker
    const before = shop.runs.length
    yield* JumpingClock.setTime(millisOf(next_probe_at) - 1)
    yield* turns
    assert.strictEqual(shop.runs.length, before)
    yield* untilProbe
    yield* untilInTurns(Effect.sync(() => shop.runs.length > before))
    yield* untilBreaker("open")
    yield* untilProcessing(0)
    assert.strictEqual(shop.runs.length, before + 1)
    return shop.runs[before]?.order_id
  })

/** Lets seconds pass until so many are Completed. */
const untilCompleted = (count: number) =>
  Effect.repeat(Effect.zipRight(Effect.zipRight(JumpingClock.adjust("1 second"), turns), totals), {
    until: ({ Completed }) => Completed === count
  })

const insertMany = (from: number, to: number) =>
  Effect.forEach(Arr.range(from, to), insert, { concurrency: "unbounded", discard: true })

describe("OrderWorkers behind the breaker", () => {
  for (const { suspects, workers } of [
    { workers: 1, suspects: 0 },
    { workers: 5, suspects: 0 },
    { workers: 100, suspects: 0 },
    { workers: 1, suspects: 6 },
    { workers: 3, suspects: 6 }
  ]) {
    effect(`${workers} workers park the orders, ${suspects} suspects among them, and try one at a time`, () =>
      Effect.gen(function* () {
        const shop = makeShop()
        const count = 30
        const repo = yield* OrdersRepo
        yield* repo.write(Arr.map(Arr.range(1, count), (id) => anInsert(id)))
        for (let loss = 0; loss < 2 && suspects > 0; loss++) {
          yield* repo.write(
            Arr.makeBy(suspects, (index) => Command.Claim({ key: RowKey(index + 1), job: Option.none() }))
          )
          yield* repo.write([Command.Recover({ maxAttempts: 9 })])
        }
        const before = yield* allOrders
        yield* Effect.gen(function* () {
          yield* untilBreaker("open")
          yield* untilProcessing(0)
          // Those under way when it opened end, the others wait.
          assert.isAtMost(shop.runs.length, 10 + workers)
          assert.strictEqual(attemptsOf(yield* allOrders) - attemptsOf(before), 10)

          const probed: Array<string | undefined> = []
          for (let probe = 0; probe < 7; probe++) probed.push(yield* failedProbe(shop))
          assert.strictEqual(new Set(probed).size, 7, probed.join(" "))
          const waiting = yield* allOrders
          assert.strictEqual(attemptsOf(waiting) - attemptsOf(before), 10)
          assert.isTrue(waiting.every(({ status }) => status === "Pending"))
          assert.strictEqual(
            waiting.filter(({ last_error }) => Option.exists(last_error, ({ code }) => code === "unavailable")).length,
            10
          )

          shop.answer = Effect.void
          yield* untilProbe
          yield* untilCompleted(count)
          assert.strictEqual((yield* breaker).state, "closed")
          assert.strictEqual(attemptsOf(yield* allOrders) - attemptsOf(before), count + 10)
          // One key for an order, however often it was put back.
          const keys = new Set(shop.runs.map(({ idempotencyKey, order_id }) => `${order_id} ${idempotencyKey}`))
          assert.strictEqual(keys.size, count)
        }).pipe(
          // Those that failed while it was closed are due before the first probe, and no queue hides the order of the line.
          Effect.provide(
            engine(
              {
                repo: Layer.succeed(OrdersRepo, repo),
                settings: { workers, queueCapacity: 1, retryBase: Duration.millis(100) }
              },
              shop.process
            )
          ),
          Effect.withRandom(Random.fixed([1]))
        )
      }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))
    )
  }

  effect(
    "an outage of two hours turns no order Failed, and uses up ten attempts in all",
    () => {
      const shop = makeShop()
      const count = 200
      const { clock, setTime } = JumpingClock.makeJumpingClock()
      return Effect.gen(function* () {
        yield* insertMany(1, count)
        yield* untilBreaker("open")
        while ((yield* Clock.currentTimeMillis) < 7_200_000) {
          yield* untilProcessing(0)
          const [{ next_probe_at }, before] = [yield* breaker, shop.runs.length]
          yield* setTime(millisOf(next_probe_at))
          yield* untilInTurns(Effect.sync(() => shop.runs.length > before))
          yield* untilBreaker("open")
          assert.strictEqual(shop.runs.length, before + 1)
        }
        assert.strictEqual(attemptsOf(yield* allOrders), 10)
        shop.answer = Effect.void
        yield* setTime(millisOf((yield* breaker).next_probe_at))
        yield* untilInTurns(Effect.map(totals, ({ Completed }) => Completed === count))
        assert.strictEqual(attemptsOf(yield* allOrders), count + 10)
        // As often as 30 s allow, after the first few.
        assert.isBelow(shop.runs.length, 110 + 7200 / 30 + 5 + count)
      }).pipe(
        Effect.provide(engine({ repo: sqlRepo, settings: { workers: 100 } }, shop.process)),
        Effect.withClock(clock)
      )
    },
    longTest
  )

  for (const isDownFirst of [false, true]) {
    effect(
      `one bad order ends Failed${isDownFirst ? " after an outage too" : ", and costs the good ones nothing"}`,
      () => {
        const shop = makeShop()
        if (!isDownFirst) shop.answer = Effect.void
        return Effect.gen(function* () {
          yield* insertMany(1, 100)
          yield* insert("bad")
          yield* insertMany(101, 300)
          if (isDownFirst) {
            yield* untilBreaker("open")
            yield* untilProcessing(0)
            for (let probe = 0; probe < 6; probe++) yield* failedProbe(shop)
            shop.answer = Effect.void
            yield* untilProbe
            yield* untilCompleted(300)
          } else {
            yield* untilInTurns(Effect.map(totals, ({ Completed }) => Completed === 300))
            assert.strictEqual(yield* Clock.currentTimeMillis, 0)
          }
          let order = yield* find("bad")
          while (order.status !== "Failed") {
            assert.strictEqual((yield* breaker).state, "closed")
            yield* JumpingClock.adjust("10 seconds")
            yield* turns
            order = yield* find("bad")
          }
          const error = yield* order.last_error
          assert.deepStrictEqual([order.attempts, error.code, error.attempt], [12, "unavailable", 12])
          assert.strictEqual((yield* totals).Completed, 300)
          yield* insert("good")
          assert.strictEqual((yield* finished("good")).status, "Completed")
        }).pipe(
          Effect.provide(
            engine({ settings: { workers: 5, retryBase: Duration.millis(10) } }, (order, run) =>
              order.order_id === "bad"
                ? Effect.zipRight(Effect.ignore(shop.process(order, run)), new Unavailable({ message: "500" }))
                : shop.process(order, run)
            )
          )
        )
      }
    )
  }

  effect("what ends without a word of the processor while it is open is put back uncounted", () => {
    const ends: Record<string, ReturnType<Process>> = {
      defect: Effect.die(new Error("boom")),
      interrupted: Effect.interrupt,
      timeout: Effect.never
    }
    return Effect.gen(function* () {
      const go = yield* Effect.makeLatch()
      const shop = makeShop()
      yield* Effect.gen(function* () {
        yield* Effect.forEach(Object.keys(ends), insert)
        yield* untilProcessing(3)
        yield* insertMany(1, 10)
        yield* untilBreaker("open")
        yield* go.open
        yield* untilProcessing(1)
        yield* JumpingClock.setTime(30_000)
        yield* untilProcessing(0)
        for (const id of Object.keys(ends)) {
          const { attempts, last_error, started_at, status } = yield* find(id)
          assert.deepStrictEqual(
            [status, attempts, last_error, started_at],
            ["Pending", 0, Option.none(), Option.none()]
          )
        }

        // Nor does a probe that ends so count, and the next one is not made sooner.
        for (const end of Object.values(ends)) {
          yield* untilBreaker("open")
          const [attempts, runs] = [attemptsOf(yield* allOrders), shop.runs.length]
          shop.answer = end
          yield* untilProbe
          yield* untilInTurns(Effect.sync(() => shop.runs.length > runs))
          if (end === ends.timeout) {
            yield* turns
            yield* JumpingClock.adjust("30 seconds")
          }
          yield* untilBreaker("open")
          yield* untilProcessing(0)
          assert.strictEqual(attemptsOf(yield* allOrders), attempts)
          const wait = millisOf((yield* breaker).next_probe_at) - (yield* Clock.currentTimeMillis)
          assert.isAtLeast(wait, 4000)
        }
      }).pipe(
        Effect.provide(
          engine({ settings: { workers: 13 } }, (order, run) =>
            run.run === 1 && order.order_id in ends
              ? Effect.zipRight(go.await, ends[order.order_id] ?? Effect.void)
              : shop.process(order, run)
          )
        )
      )
    })
  })

  effect("the time that a processor asks for is waited by the order, and by the next probe", () =>
    Effect.gen(function* () {
      const shop = makeShop()
      const go = yield* Effect.makeLatch()
      const oneMinute = new Unavailable({ message: "down", delay: Duration.minutes(1) })
      yield* Effect.gen(function* () {
        yield* insert("late")
        yield* untilProcessing(1)
        yield* insertMany(1, 10)
        yield* untilBreaker("open")
        yield* insert("probe")
        yield* go.open
        yield* untilProcessing(0)
        const late = yield* find("late")
        assert.deepStrictEqual([late.attempts, late.last_error], [0, Option.none()])
        assert.strictEqual(millisOf(late.next_attempt_at), 60_000)
        // Not for a late one's sake.
        assert.strictEqual(millisOf((yield* breaker).next_probe_at), 1000)

        shop.answer = oneMinute
        assert.strictEqual(yield* failedProbe(shop), "probe")
        const probe = yield* find("probe")
        assert.deepStrictEqual([probe.attempts, probe.last_error], [0, Option.none()])
        assert.strictEqual(millisOf(probe.next_attempt_at), 61_000)
        assert.strictEqual(millisOf((yield* breaker).next_probe_at), 61_000)
        yield* failedProbe(shop)
      }).pipe(
        Effect.provide(
          engine({ settings: { workers: 11 } }, (order, run) =>
            order.order_id === "late" ? Effect.zipRight(go.await, oneMinute) : shop.process(order, run)
          )
        )
      )
    })
  )

  const answers: Record<string, { readonly answer: ReturnType<Process>; readonly status: string }> = {
    done: { answer: Effect.succeed("done"), status: "Completed" },
    bad_address: { answer: new Permanent({ code: "bad_address", message: "no" }), status: "Failed" },
    no_stock: { answer: new Retryable({ code: "no_stock", message: "later" }), status: "Pending" },
    invalid_result: { answer: Effect.succeed(cyclic), status: "Failed" }
  }
  for (const [code, { answer, status }] of Object.entries(answers)) {
    for (const isProbe of [true, false]) {
      effect(`${code} by ${isProbe ? "a probe" : "a late attempt"} is recorded, and closes it`, () =>
        Effect.gen(function* () {
          const shop = makeShop()
          const go = yield* Effect.makeLatch()
          yield* Effect.gen(function* () {
            if (!isProbe) yield* Effect.zipRight(insert("x"), untilProcessing(1))
            yield* insertMany(1, 10)
            yield* untilBreaker("open")
            if (isProbe) yield* insert("x")
            yield* turns
            assert.strictEqual((yield* find("x")).status, isProbe ? "Pending" : "Processing")
            shop.answer = Effect.void
            yield* go.open
            if (isProbe) yield* untilProbe
            yield* untilBreaker("closed")
            yield* untilInTurns(Effect.map(find("x"), (order) => order.status === status))
            const order = yield* find("x")
            assert.strictEqual(order.attempts, 1)
            if (code === "done") assert.deepStrictEqual(order.result, Option.some(code))
            else assert.strictEqual(Option.getOrThrow(order.last_error).code, code)
            yield* cancel("x")
            yield* untilCompleted(code === "done" ? 11 : 10)
          }).pipe(
            Effect.provide(
              engine({ settings: { workers: isProbe ? 1 : 11 } }, (order, run) =>
                order.order_id === "x" ? Effect.zipRight(go.await, answer) : shop.process(order, run)
              )
            )
          )
        })
      )
    }
  }

  effect("orders cancelled while they wait for it are passed over, without a probe lost", () => {
    const shop = makeShop()
    return Effect.gen(function* () {
      yield* insertMany(1, 20)
      yield* untilBreaker("open")
      yield* untilProcessing(0)
      yield* insert("last")
      yield* turns
      yield* Effect.forEach(Arr.range(1, 20), cancel)
      assert.strictEqual(yield* failedProbe(shop), "last")
      assert.strictEqual(yield* Clock.currentTimeMillis, 1000)
      const { Cancelled, Pending } = yield* totals
      assert.deepStrictEqual([Cancelled, Pending], [20, 1])
    }).pipe(Effect.provide(engine({ settings: { workers: 4 } }, shop.process)))
  })

  effect("a probe cancelled while it runs leaves its turn to the next at once", () => {
    const shop = makeShop()
    return Effect.gen(function* () {
      yield* insertMany(1, 20)
      yield* untilBreaker("open")
      yield* untilProcessing(0)
      const interrupted = yield* Queue.unbounded<void>()
      shop.answer = Effect.onInterrupt(Effect.never, () => Queue.offer(interrupted, undefined))
      yield* untilProbe
      const tried: Array<string> = []
      for (let probe = 1; probe <= 5; probe++) {
        yield* untilBreaker("half_open")
        yield* untilProcessing(1)
        yield* turns
        assert.strictEqual((yield* totals).Processing, 1)
        const order = yield* Arr.findFirst(yield* allOrders, ({ status }) => status === "Processing")
        tried.push(order.order_id)
        if (probe === 5) shop.answer = Effect.void
        const cancelled = yield* cancel(order.order_id)
        assert.isTrue(cancelled._tag === "Acted" && cancelled.changed)
        yield* Queue.take(interrupted)
      }
      assert.strictEqual(new Set(tried).size, 5)
      yield* untilBreaker("closed")
      assert.strictEqual(yield* Clock.currentTimeMillis, 1000)
      assert.strictEqual((yield* untilCompleted(15)).Cancelled, 5)
    }).pipe(Effect.provide(engine({ settings: { workers: 4 } }, shop.process)))
  })

  for (const isProbing of [false, true]) {
    effect(`a shutdown while it is ${isProbing ? "half-" : ""}open ends, and nothing is lost`, () =>
      Effect.gen(function* () {
        const repo = yield* OrdersRepo
        const shop = makeShop()
        const layer = engine({ repo: Layer.succeed(OrdersRepo, repo), settings: { workers: 4 } }, shop.process)
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(layer, scope)
        yield* Effect.gen(function* () {
          yield* insertMany(1, 20)
          yield* untilBreaker("open")
          yield* untilProcessing(0)
          if (!isProbing) return
          shop.answer = Effect.never
          yield* untilProbe
          yield* untilProcessing(1)
        }).pipe(Effect.provide(context))
        if (isProbing) {
          const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
          yield* turns
          yield* JumpingClock.adjust("25 seconds")
          yield* closing
        } else {
          // Without any time passing.
          yield* Scope.close(scope, Exit.void)
        }
        const orders = yield* allOrders
        assert.isTrue(orders.every(({ status }) => status === "Pending"))
        assert.strictEqual(attemptsOf(orders), 10)
        shop.answer = Effect.void
        yield* Effect.provide(untilCompleted(20), layer)
        assert.strictEqual(attemptsOf(yield* allOrders), 30)
      }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))
    )
  }
})

describe("what a run is given", () => {
  effect("the idempotency key is the same until someone asks for the order again", () => {
    const shop = makeShop()
    const retryBase = Duration.millis(1)
    return Effect.gen(function* () {
      const repo = yield* OrdersRepo
      yield* repo.write([
        anInsert(1),
        anInsert("1:1"),
        Command.Claim({ key: RowKey(1), job: Option.none() }),
        Command.Recover({ maxAttempts: 9 })
      ])
      const keysOf = (id: string) =>
        shop.runs.flatMap(({ idempotencyKey, order_id }) => (order_id === id ? [idempotencyKey] : []))
      shop.answer = new Retryable({ message: "later", delay: Duration.seconds(1) })
      yield* Effect.gen(function* () {
        /** Two retries, then Failed. */
        const round = Effect.gen(function* () {
          const before = keysOf("1").length
          for (let run = 1; run <= 2; run++) {
            yield* untilInTurns(Effect.sync(() => keysOf("1").length === before + run))
            yield* untilProcessing(0)
            yield* JumpingClock.adjust("1 second")
          }
          shop.answer = new Permanent({ code: "no", message: "no" })
          yield* JumpingClock.adjust("1 second")
          yield* finished(1)
          shop.answer = new Retryable({ message: "later", delay: Duration.seconds(1) })
        })
        yield* round
        yield* write(Command.Reopen({ order_id: OrderId.make("1"), by: Option.none() }))
        yield* round
        yield* write(Command.ReopenMany({ filter: {}, keys: [RowKey(1)], by: Option.none() }))
        yield* round
      }).pipe(Effect.provide(engine({ repo: Layer.succeed(OrdersRepo, repo), settings: { retryBase } }, shop.process)))
      const keys = keysOf("1")
      const rounds = Arr.dedupe(keys)
      assert.strictEqual(rounds.length, 3)
      for (const key of rounds) assert.isAtLeast(keys.filter((it) => it === key).length, 3)
      // Nor is it the key of another order, whatever that is called.
      assert.isEmpty(Arr.intersection(rounds, keysOf("1:1")))
    }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))
  })

  effect("it is part of the trace in which its order was submitted, or of a new one", () =>
    Effect.gen(function* () {
      const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"]
      const spans: Array<readonly [id: string, traceId: string, parent: string | undefined]> = []
      yield* Effect.gen(function* () {
        const traceparent = Option.some(`00-${traceId}-${spanId}-01`)
        yield* write(Command.Insert({ order: newOrder("traced"), traceparent }))
        yield* untilPostponed("traced")
        yield* JumpingClock.adjust("1 second")
        yield* finished("traced")
        yield* insert("new")
        yield* untilPostponed("new")
        yield* insert("other")
        yield* untilPostponed("other")
      }).pipe(
        Effect.provide(
          engine({ repo: sqlRepo }, ({ order_id }, { attempt }) =>
            Effect.gen(function* () {
              const span = yield* Effect.orDie(Effect.currentSpan)
              spans.push([order_id, span.traceId, Option.getOrUndefined(Option.map(span.parent, (it) => it.spanId))])
              if (attempt === 1) return yield* new Retryable({ message: "later", delay: Duration.seconds(1) })
            }).pipe(Effect.withSpan("processing"))
          )
        )
      )
      const [one, again, fresh, other] = spans
      assert.deepStrictEqual(
        [one, again],
        [
          ["traced", traceId, spanId],
          ["traced", traceId, spanId]
        ]
      )
      assert.match(String(fresh?.[1]), /^[0-9a-f]{32}$/)
      assert.deepStrictEqual([fresh?.[0], fresh?.[2], other?.[0], other?.[2]], ["new", undefined, "other", undefined])
      assert.strictEqual(new Set([traceId, fresh?.[1], other?.[1]]).size, 3)
    })
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
          Effect.exit(
            process(new Order({ ...order, order_id: OrderId.make(String(id)) }), {
              run,
              attempt: 1,
              idempotencyKey: "1:1"
            })
          ).pipe(
            Effect.flatMap((exit) =>
              Effect.map(Clock.currentTimeMillis, (at) => ({ at, failed: Exit.isFailure(exit) }))
            )
          ),
        { concurrency: "unbounded" }
      ).pipe(Effect.fork)
      const startedAt = yield* Clock.currentTimeMillis
      yield* JumpingClock.adjust("10 seconds")
      return (yield* ends).map(({ at, failed }) => ({ failed, millis: at - startedAt }))
    })

  const stored = Effect.gen(function* () {
    const repo = yield* OrdersRepo
    yield* repo.write([anInsert(1)])
    return yield* find(1)
  }).pipe(Effect.provide(memoryRepo), Effect.provide(config()))

  effect("takes its time give or take the jitter, and the same for the same order and run", () =>
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

  effect("fails the given share of attempts", () =>
    Effect.gen(function* () {
      const ends = yield* observe({ processingFailures: 0.2 }, Arr.range(1, 300))
      const share = ends.filter((end) => end.failed).length / ends.length
      assert.isTrue(share > 0.13 && share < 0.27, `share ${share}`)
      assert.isTrue((yield* observe({ processingFailures: 0 }, Arr.range(1, 20))).every((end) => !end.failed))
      assert.isTrue((yield* observe({ processingFailures: 1 }, Arr.range(1, 20))).every((end) => end.failed))
    })
  )
})

effect("a claim that dies leaves its order for the next one", () => {
  let deaths = 0
  const repo = Layer.map(memoryRepo, (context) => {
    const repo = Context.get(context, OrdersRepo)
    return Context.make(OrdersRepo, {
      ...repo,
      write: (commands) =>
        commands.some(({ _tag }) => _tag === "Claim") && deaths < 4
          ? Effect.sync(() => deaths++).pipe(Effect.zipRight(Effect.dieMessage("a fault of the repository")))
          : repo.write(commands)
    })
  })
  return Effect.gen(function* () {
    yield* insert(1)
    const nextLook = Effect.zipRight(turns, JumpingClock.adjust("5 seconds"))
    yield* Effect.repeat(nextLook, { until: () => deaths === 4 })
    yield* nextLook
    assert.strictEqual((yield* finished(1)).status, "Completed")
  }).pipe(Effect.provide(engine({ repo }, () => Effect.void)))
})
