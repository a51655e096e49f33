import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, DateTime, Deferred, Duration, Effect, Exit, Fiber, FiberId, Layer, Option, Random } from "effect"
import type { AppConfig } from "../src/AppConfig.ts"
import { clockJump } from "../src/MonotonicClock.ts"
import { Orders } from "../src/Orders.ts"
import { Metrics } from "../src/observe/Metrics.ts"
import { OrderId, StorageUnavailable } from "../src/order/Order.ts"
import { RowKey } from "../src/order/OrderChange.ts"
import { EngineLive } from "../src/Service.ts"
import { Command, Outcome } from "../src/store/Command.ts"
import { GroupCommit } from "../src/store/GroupCommit.ts"
import { OrderEvents } from "../src/store/OrderEvents.ts"
import { OrdersRepo } from "../src/store/OrdersRepo.ts"
import { CircuitBreaker } from "../src/work/CircuitBreaker.ts"
import type { OrderProcessor } from "../src/work/OrderProcessor.ts"
import { Retryable, Unavailable } from "../src/work/OrderProcessor.ts"
import { makeJumpingClock } from "./support/JumpingClock.ts"
import { longTest } from "./support/Limits.ts"
import { anInsert, config, memoryRepo, processor, type Settings, sqlRepo } from "./support/TestLayers.ts"
import { turns, untilInTurns } from "./support/Until.ts"

const [minute, hour, day] = [60_000, 3_600_000, 86_400_000]

const id = (order: number | string) => OrderId.make(String(order))
const write = (command: Command) => Effect.flatMap(GroupCommit, (commits) => commits.write(command))
const insert = (order: number | string) => write(anInsert(order))
const find = (order: number | string) => Effect.flatMap(OrdersRepo, (repo) => Effect.flatten(repo.find(id(order))))
const isStatus = (order: number | string, status: string) =>
  Effect.map(find(order), (found) => found.status === status && (status !== "Pending" || found.attempts > 0))
const snapshot = Effect.flatMap(Metrics, (metrics) => metrics.snapshot)
const nextAttempt = (order: number | string) =>
  Effect.map(
    Effect.flatMap(find(order), (found) => found.next_attempt_at),
    DateTime.toEpochMillis
  )

type Process = Parameters<typeof processor>[0]

/** Everything behind HTTP, on a repository that outlives it. */
const engine = (process: Process | Layer.Layer<OrderProcessor>, settings: Settings = {}) =>
  EngineLive.pipe(
    Layer.provide(typeof process === "function" ? processor(process) : process),
    Layer.provideMerge(config({ workers: 2, retryBase: Duration.seconds(20), ...settings }))
  )

const fails: Process = () => new Retryable({ message: "later" })
const succeeds: Process = () => Effect.void

/** Runs the body on each repository, with a clock that can be set. */
const test = <E>(
  title: string,
  body: (clock: ReturnType<typeof makeJumpingClock>) => Effect.Effect<void, E, OrdersRepo | AppConfig>
) => {
  for (const [name, repo] of [
    ["SQL", sqlRepo],
    ["memory", memoryRepo]
  ] as const) {
    it.effect(`${title}, ${name}`, () => {
      const clock = makeJumpingClock()
      return body(clock).pipe(
        Effect.provide(Layer.provideMerge(repo, config())),
        Effect.withClock(clock.clock),
        // Of the full jitter the whole back-off.
        Effect.withRandom(Random.fixed([1]))
      )
    })
  }
}

describe("a clock that was ahead for one start", { timeout: longTest }, () => {
  for (const [span, ahead] of [
    ["5 minutes", 5 * minute],
    ["30 days", 30 * day]
  ] as const) {
    test(`by ${span}: what it left is worked, and retries wait for their back-off`, ({ setAhead, setTime }) =>
      Effect.gen(function* () {
        yield* setTime(100 * day)
        yield* setAhead(ahead)
        yield* Effect.gen(function* () {
          yield* insert("postponed")
          yield* untilInTurns(isStatus("postponed", "Pending"))
        }).pipe(Effect.provide(engine(fails)))
        const repo = yield* OrdersRepo
        yield* repo.write([anInsert("new"), anInsert("lost"), Command.Claim({ key: RowKey(3), job: Option.none() })])

        yield* setAhead(0)
        let runs = 0
        yield* Effect.gen(function* () {
          yield* insert("after")
          yield* untilInTurns(Effect.sync(() => runs === 3))
          yield* Effect.forEach(["new", "lost", "after"], (order) => untilInTurns(isStatus(order, "Pending")))
          yield* turns
          assert.strictEqual(runs, 3)
          assert.strictEqual(yield* nextAttempt("after"), 100 * day + 20_000)
          assert.strictEqual(yield* nextAttempt("postponed"), 100 * day + 20_000)
          yield* setTime(100 * day + 19_999)
          yield* turns
          assert.strictEqual(runs, 3)
          yield* setTime(100 * day + 20_000)
          yield* untilInTurns(Effect.sync(() => runs >= 6))
          yield* turns
          assert.strictEqual(runs, 6)
        }).pipe(
          Effect.provide(
            engine((order, run) => {
              runs += 1
              return fails(order, run)
            })
          )
        )
      }))
  }

  test("by 10 minutes, while orders failed: all of them are retried, each once", ({ setAhead }) =>
    Effect.gen(function* () {
      yield* setAhead(10 * minute)
      const repo = yield* OrdersRepo
      const orders = Arr.range(1, 1200)
      const error = { code: "no", message: "no", attempt: 1, at: DateTime.unsafeMake(10 * minute) }
      const outcome = Outcome.Failed({ error })
      yield* repo.write(Arr.map(orders, (order) => anInsert(order)))
      yield* repo.write(Arr.map(orders, (key) => Command.Claim({ key: RowKey(key), job: Option.none() })))
      yield* repo.write(
        Arr.map(orders, (key) => Command.Record({ key: RowKey(key), run: 1, outcome, at: error.at, took: 0 }))
      )
      yield* setAhead(0)
      yield* Effect.gen(function* () {
        const { retryMany } = yield* Orders
        assert.strictEqual(yield* retryMany({}), 1200)
      }).pipe(Effect.provide(engine(() => Effect.never, { shutdownGrace: Duration.zero })))
    }))
})

describe("a clock that is set while the service runs", { timeout: longTest }, () => {
  for (const [which, by] of [
    ["back", -hour],
    ["ahead", hour]
  ] as const) {
    test(`${which} by an hour: retries wait for their back-off, new orders for nothing`, ({ setAhead, setTime }) =>
      Effect.gen(function* () {
        let runs = 0
        const counted: Process = (order, run) => {
          runs += 1
          return order.order_id === "fails" ? fails(order, run) : Effect.void
        }
        yield* setTime(day)
        yield* Effect.gen(function* () {
          yield* insert("fails")
          yield* untilInTurns(isStatus("fails", "Pending"))
          yield* setTime(day + 5000)
          yield* setAhead(by)
          yield* insert("new")
          yield* untilInTurns(isStatus("new", "Completed"))
          yield* turns
          assert.strictEqual((yield* find("new")).accepted_at.epochMillis, day + 5000 + by)
          assert.strictEqual(yield* nextAttempt("fails"), day + 20_000 + by)
          for (const time of [10_000, 15_000, 19_999]) {
            yield* setTime(day + time)
            yield* turns
            assert.strictEqual(runs, 2)
          }
          yield* setTime(day + 20_000)
          yield* untilInTurns(Effect.sync(() => runs === 3))
          yield* untilInTurns(isStatus("fails", "Pending"))
          const { queue_wait } = yield* snapshot
          assert.isAtMost(queue_wait.p99, 1)
        }).pipe(Effect.provide(engine(counted)))
      }))

    test(`${which} by an hour: rates, and how long runs took, are as before`, ({ setAhead, setTime }) =>
      Effect.gen(function* () {
        const running = new Set<string>()
        const process: Process = (order) => {
          running.add(order.order_id)
          return Effect.sleep("500 millis")
        }
        yield* Effect.gen(function* () {
          // Two a second, for longer than rates look back; the clock is set within that, while orders run.
          for (let half = 1; half <= 130; half++) {
            yield* setTime(1_000_000 + half * 500)
            yield* insert(half)
            yield* untilInTurns(Effect.sync(() => running.has(String(half))))
            if (half === 70) yield* setAhead(by)
          }
          yield* setTime(1_000_000 + 65_500)
          yield* untilInTurns(isStatus(130, "Completed"))
          const now = yield* snapshot
          assert.closeTo(now.accepted_per_second, 2, 0.1)
          assert.closeTo(now.completed_per_second, 2, 0.1)
          assert.strictEqual(now.average_processing_time, 0.5)
          assert.closeTo(now.processing_time.p99, 0.5, 0.1)
          assert.strictEqual(now.oldest_due_seconds, 0)
          for (let order = 1; order <= 130; order++) {
            const { finished_at, started_at } = yield* find(order)
            const [from, to] = [Option.getOrThrow(started_at), Option.getOrThrow(finished_at)]
            assert.isTrue(DateTime.lessThanOrEqualTo(from, to), `order ${order}`)
          }
        }).pipe(Effect.provide(engine(process)))
      }))

    it.effect(`${which} by an hour: a submitter waits 10 seconds for the storage, neither more nor less`, () => {
      const { clock, setAhead, setTime } = makeJumpingClock()
      const latch = Deferred.unsafeMake<void>(FiberId.none)
      const stalled = Layer.effect(
        OrdersRepo,
        Effect.map(OrdersRepo, (repo) =>
          OrdersRepo.of({
            ...repo,
            write: (commands) => Effect.zipRight(Deferred.await(latch), repo.write(commands))
          })
        )
      ).pipe(Layer.provide(memoryRepo))
      return Effect.gen(function* () {
        const waiting = yield* Effect.fork(Effect.exit(insert(1)))
        yield* turns
        yield* setAhead(by)
        for (let time = 250; time <= 9750; time += 250) {
          yield* setTime(time)
          yield* turns
          assert.isNull(waiting.unsafePoll())
        }
        for (let time = 10_000; time <= 10_500; time += 250) {
          yield* setTime(time)
          yield* turns
        }
        assert.deepStrictEqual(yield* Fiber.join(waiting), Exit.fail(new StorageUnavailable({})))
        yield* Deferred.succeed(latch, undefined)
      }).pipe(
        Effect.provide(
          GroupCommit.layer.pipe(Layer.provide(OrderEvents.layer), Layer.provide(stalled), Layer.provideMerge(config()))
        ),
        Effect.withClock(clock)
      )
    })

    test(`${which} by an hour: the open breaker probes when it would have, and shows when that is`, (clock) =>
      Effect.gen(function* () {
        let runs = 0
        const down: Process = () => {
          runs += 1
          return new Unavailable({ message: "down", unreachable: true })
        }
        yield* Effect.gen(function* () {
          const { state } = yield* CircuitBreaker
          yield* Effect.forEach(Arr.range(1, 20), insert)
          yield* untilInTurns(Effect.map(state, (breaker) => breaker.state === "open"))
          yield* turns
          const before = runs
          yield* clock.setAhead(by)
          const shown = Option.map((yield* state).next_probe_at, DateTime.toEpochMillis)
          assert.deepStrictEqual(shown, Option.some(1000 + by))
          yield* clock.setTime(999)
          yield* turns
          assert.strictEqual(runs, before)
          yield* clock.setTime(1000)
          yield* untilInTurns(Effect.sync(() => runs === before + 1))
        }).pipe(Effect.provide(engine(down, { workers: 20 })))
      }))
  }

  /** More than move in one piece, all to wait until 20 seconds after `day`. */
  const longLine = Effect.gen(function* () {
    const repo = yield* OrdersRepo
    const orders = Arr.range(1, 2500)
    const error = { code: "busy", message: "later", attempt: 1, at: DateTime.unsafeMake(day) }
    const outcome = Outcome.Postponed({ error, wait: 20_000 })
    yield* repo.write(Arr.map(orders, (order) => anInsert(order)))
    yield* repo.write(Arr.map(orders, (key) => Command.Claim({ key: RowKey(key), job: Option.none() })))
    yield* repo.write(
      Arr.map(orders, (key) => Command.Record({ key: RowKey(key), run: 1, outcome, at: error.at, took: 0 }))
    )
    return orders
  })
  /** Does that once, when the first piece of a line that is moved by so much has been moved. */
  const afterFirstPiece = (by: number, then: Effect.Effect<void>) =>
    Layer.effect(
      OrdersRepo,
      Effect.gen(function* () {
        const repo = yield* OrdersRepo
        const once = yield* Effect.once(then)
        return OrdersRepo.of({
          ...repo,
          write: (commands) =>
            Effect.zipLeft(
              repo.write(commands),
              Effect.when(once, () =>
                commands.some((command) => command._tag === "Rebase" && command.by === by && command.after === 0)
              )
            )
        })
      })
    )

  test("a long line moves in pieces, new orders between them, and each order once for each time it is set", (clock) =>
    Effect.gen(function* () {
      yield* clock.setTime(day)
      const orders = yield* longLine
      const between = Effect.gen(function* () {
        yield* clock.setTime(day + 7000)
        yield* clock.setAhead(-hour)
      })
      const ran: Array<string> = []
      const noted: Process = (order) => Effect.sync(() => void ran.push(order.order_id))
      const repo = afterFirstPiece(hour, between)
      yield* Effect.gen(function* () {
        yield* turns
        yield* clock.setAhead(hour)
        yield* clock.setTime(day + 5000)
        yield* insert("new")
        yield* untilInTurns(isStatus("new", "Completed"))
        yield* turns
        assert.deepStrictEqual(ran, ["new"])
        assert.deepStrictEqual(Arr.dedupe(yield* Effect.forEach(orders, nextAttempt)), [day + 20_000 - hour])
      }).pipe(Effect.provide(engine(noted).pipe(Layer.provideMerge(repo))))
    }))

  test("a long line that a crash left half moved waits no longer than it was to", (clock) =>
    Effect.gen(function* () {
      yield* clock.setTime(day)
      const orders = yield* longLine
      const moved = yield* Deferred.make<void>()
      const stops = Layer.effect(
        OrdersRepo,
        Effect.map(OrdersRepo, (repo) =>
          OrdersRepo.of({
            ...repo,
            write: (commands) =>
              Effect.flatMap(Deferred.isDone(moved), (isDone) =>
                isDone ? new StorageUnavailable({}) : repo.write(commands)
              )
          })
        )
      ).pipe(Layer.provide(afterFirstPiece(-hour, Effect.asVoid(Deferred.succeed(moved, undefined)))))
      yield* Effect.gen(function* () {
        yield* turns
        yield* clock.setAhead(-hour)
        yield* clock.setTime(day + 5000)
        yield* Deferred.await(moved)
        yield* Effect.fail("crash")
      }).pipe(Effect.provide(engine(succeeds).pipe(Layer.provideMerge(stops))), Effect.ignore)
      yield* Effect.gen(function* () {
        yield* untilInTurns(Effect.map(nextAttempt(2500), (time) => time < day))
        const due = yield* Effect.forEach(orders, nextAttempt)
        assert.deepStrictEqual(Arr.dedupe(due), [day + 20_000 - hour, day + 25_000 - hour])
      }).pipe(Effect.provide(engine(succeeds)))
    }))

  it.effect("is noticed by the monotonic clock; one that goes a little too fast or too slow is not", () => {
    const { clock, setAhead, setTime } = makeJumpingClock()
    return Effect.gen(function* () {
      const jump = yield* clockJump
      assert.strictEqual(jump(), 0)
      yield* setTime(5000)
      yield* setAhead(900)
      assert.strictEqual(jump(), 0)
      yield* setAhead(1800)
      assert.strictEqual(jump(), 0)
      yield* setAhead(-hour)
      assert.strictEqual(jump(), -hour - 1800)
      yield* setTime(hour)
      assert.strictEqual(jump(), 0)
      yield* setAhead(0)
      assert.strictEqual(jump(), hour)
    }).pipe(Effect.withClock(clock))
  })
})

describe("retention", { timeout: longTest }, () => {
  const settings = { retention: Option.some(Duration.days(30)) }
  const kept = Effect.flatMap(OrdersRepo, (repo) =>
    Effect.map(repo.list({}, Option.none(), 100), ({ found }) =>
      found.map(({ order }) => Number(order.order_id)).sort()
    )
  )
  const done = (order: number) => Effect.zipRight(insert(order), untilInTurns(isStatus(order, "Completed")))

  test("does not believe a clock that is 40 days ahead for one start, and goes on when it is right", (clock) => {
    let now = 100 * day
    /** Lets that much time pass, a pass of retention for every minute at least. */
    const pass = (millis: number, step = minute) =>
      Effect.gen(function* () {
        for (const end = now + millis; now < end; ) {
          now += step
          yield* clock.setTime(now)
          yield* turns
        }
      })
    const run = <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.provide(body, engine(succeeds, settings))
    return Effect.gen(function* () {
      yield* clock.setTime(now)
      yield* run(Effect.zipRight(Effect.forEach([1, 2], done), pass(5 * minute)))
      yield* clock.setAhead(40 * day)
      yield* run(
        Effect.gen(function* () {
          yield* done(3)
          yield* pass(59 * minute)
          assert.deepStrictEqual(yield* kept, [1, 2, 3])
        })
      )
      yield* clock.setAhead(0)
      yield* run(
        Effect.gen(function* () {
          yield* done(4)
          yield* pass(29 * day - hour, day)
          assert.deepStrictEqual(yield* kept, [1, 2, 3, 4])
          yield* pass(2 * day, day)
          // What was finished under the wrong clock is kept until that time has passed too.
          assert.deepStrictEqual(yield* kept, [3])
        })
      )
    })
  })

  /** Lets a minute pass again and again, with a pass of retention in each. */
  const minutes = (clock: ReturnType<typeof makeJumpingClock>, from: number, count: number) =>
    Effect.forEach(Arr.range(1, count), (passed) => Effect.zipRight(clock.setTime(from + passed * (minute + 1)), turns))

  test("keeps the history by the same clock, though RETENTION is off", (clock) => {
    const changes = Effect.flatMap(OrdersRepo, (repo) =>
      Effect.map(repo.changes({}, 0, 100), ({ found }) => found.map(({ order_id, to }) => `${order_id} ${to}`))
    )
    const all = (order: number) => ["Pending", "Processing", "Completed"].map((status) => `${order} ${status}`)
    const run = <A, E>(body: Effect.Effect<A, E, OrdersRepo | GroupCommit>) =>
      Effect.provide(body, engine(succeeds, { history: Option.some(Duration.days(30)) }))
    return Effect.gen(function* () {
      yield* clock.setTime(100 * day)
      yield* run(Effect.zipRight(done(1), minutes(clock, 100 * day, 2)))
      yield* clock.setAhead(40 * day)
      yield* run(minutes(clock, 100 * day + 3 * minute, 50))
      assert.deepStrictEqual(yield* changes, all(1))
      yield* run(Effect.zipRight(done(2), minutes(clock, 100 * day + hour, 61)))
      assert.deepStrictEqual(yield* changes, all(2))
    })
  })

  test("does not believe a clock that is set ahead by 40 days while it runs, until an hour has passed so", (clock) =>
    Effect.gen(function* () {
      yield* clock.setTime(100 * day)
      yield* done(1)
      yield* clock.setTime(100 * day + minute)
      yield* turns
      yield* clock.setAhead(40 * day)
      for (const time of [2 * minute, 30 * minute, hour]) {
        yield* clock.setTime(100 * day + time)
        yield* turns
        assert.deepStrictEqual(yield* kept, [1])
      }
      for (const time of [hour + 2 * minute, hour + 3 * minute]) {
        yield* clock.setTime(100 * day + time)
        yield* turns
      }
      assert.deepStrictEqual(yield* kept, [])
    }).pipe(Effect.provide(engine(succeeds, settings))))

  test("does not believe it either when it is restarted every few minutes, however often", (clock) =>
    Effect.gen(function* () {
      yield* clock.setTime(100 * day)
      yield* Effect.zipRight(done(1), turns).pipe(Effect.provide(engine(succeeds, settings)))
      yield* clock.setAhead(40 * day)
      for (let start = 0; start < 15; start++) {
        yield* minutes(clock, 100 * day + start * 6 * minute, 5).pipe(Effect.provide(engine(succeeds, settings)))
      }
      assert.deepStrictEqual(yield* kept, [1])
    }))

  for (const [name, afterwards, believed] of [
    ["half an hour, when it has run for half an hour", 30 * minute, 30],
    ["a weekend, when it has run for an hour", 60 * hour, 60]
  ] as const) {
    test(`believes after a break of ${name}`, (clock) =>
      Effect.gen(function* () {
        yield* clock.setTime(100 * day)
        yield* Effect.zipRight(done(1), turns).pipe(Effect.provide(engine(succeeds, settings)))
        const repo = yield* OrdersRepo
        const start = 130 * day
        yield* repo.write([
          Command.Prune({ before: DateTime.unsafeMake(0), asOf: DateTime.unsafeMake(start - afterwards), limit: 1 })
        ])
        yield* clock.setTime(start)
        yield* Effect.gen(function* () {
          yield* turns
          yield* minutes(clock, start, believed - 1)
          assert.deepStrictEqual(yield* kept, [1])
          yield* minutes(clock, start + (believed - 1) * (minute + 1), 2)
          assert.deepStrictEqual(yield* kept, [])
        }).pipe(Effect.provide(engine(succeeds, settings)))
      }))
  }

  test("prunes though it runs for eight hours a day only", (clock) =>
    Effect.gen(function* () {
      for (let today = 100; today <= 105; today++) {
        yield* clock.setTime(today * day)
        yield* Effect.gen(function* () {
          if (today === 100) yield* done(1)
          yield* turns
          for (let passed = 1; passed <= 8; passed++) {
            yield* clock.setTime(today * day + passed * hour + minute)
            yield* turns
          }
          assert.deepStrictEqual(yield* kept, today < 105 ? [1] : [])
        }).pipe(Effect.provide(engine(succeeds, { retention: Option.some(Duration.days(5)) })))
      }
    }))
})
