import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, DateTime, Duration, Effect, Exit, Fiber, Layer, Option } from "effect"
import { Metrics } from "../../src/observe/Metrics.ts"
import { RowKey } from "../../src/order/OrderChange.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { CircuitBreaker } from "../../src/work/CircuitBreaker.ts"
import type { Permit } from "../../src/work/Permit.ts"
import { jumping, makeJumpingClock, setTime } from "../support/JumpingClock.ts"
import { config, memoryRepo } from "../support/TestLayers.ts"
import { turns } from "../support/Until.ts"

const breaker = CircuitBreaker.layer.pipe(
  Layer.provide(Metrics.layer),
  Layer.provide(OrderEvents.layer),
  Layer.provide(memoryRepo),
  Layer.provideMerge(config())
)

const test = <E>(title: string, body: Effect.Effect<void, E, CircuitBreaker>) =>
  it.effect(title, () => jumping(Effect.provide(body, breaker)))

const admit = Effect.flatMap(CircuitBreaker, ({ admit }) => admit(RowKey(0)))

/** As plain numbers, so that it can be compared. */
const state = Effect.gen(function* () {
  const { failures_in_a_row, next_probe_at, opened_at, state } = yield* Effect.flatMap(CircuitBreaker, (it) => it.state)
  const millis = (time: Option.Option<DateTime.Utc>) => Option.getOrUndefined(Option.map(time, DateTime.toEpochMillis))
  return { state, failures: failures_in_a_row, openedAt: millis(opened_at), probeAt: millis(next_probe_at) }
})
const closed = (failures = 0) => ({ state: "closed" as const, failures, openedAt: undefined, probeAt: undefined })

/** An attempt that is admitted at once and ends so; whether it counts. */
const attempt = (key: number, verdict: "available" | "unavailable" | "unknown", delay?: Duration.Duration) =>
  Effect.flatMap(admit, (permit) => permit.report(RowKey(key), verdict, delay))
const fail = (key: number) => attempt(key, "unavailable")
const failTimes = (times: number) =>
  Effect.forEach(
    Arr.makeBy(times, (index) => index),
    fail
  )

const open = failTimes(10)

/** Comes to be admitted under that name, as a worker does; `admitted` says who was, in which order. */
const makeLine = () => {
  const admitted: Array<{ readonly name: number; readonly permit: Permit }> = []
  return {
    admitted,
    names: () => admitted.map(({ name }) => name),
    last: Effect.suspend(() => Effect.map(Arr.last(admitted), ({ permit }) => permit)),
    join: (name: number) =>
      Effect.zipLeft(
        Effect.fork(
          Effect.uninterruptible(
            Effect.tap(Effect.interruptible(admit), (permit) => {
              admitted.push({ name, permit })
            })
          )
        ),
        turns
      )
  }
}

describe("CircuitBreaker", () => {
  test(
    "admits everyone at once while closed",
    Effect.gen(function* () {
      const permits = yield* Effect.all(Arr.replicate(admit, 100))
      assert.isTrue(permits.every(({ isProbe }) => !isProbe))
      assert.deepStrictEqual(yield* state, closed())
    })
  )

  test(
    "opens with the tenth attempt in a row that was unavailable, which counts as those before it",
    Effect.gen(function* () {
      yield* setTime(5000)
      assert.deepStrictEqual(yield* failTimes(9), Arr.replicate(true, 9))
      assert.deepStrictEqual(yield* state, closed(9))
      assert.isTrue(yield* fail(9))
      assert.deepStrictEqual(yield* state, { state: "open", failures: 10, openedAt: 5000, probeAt: 6000 })
    })
  )

  test(
    "begins to count anew with an attempt that was answered, wherever it comes",
    Effect.gen(function* () {
      for (const times of Arr.range(1, 9)) {
        yield* failTimes(times)
        assert.isTrue(yield* attempt(1, "available"))
        assert.deepStrictEqual(yield* state, closed())
        yield* failTimes(9)
        assert.deepStrictEqual(yield* state, closed(9))
        yield* attempt(1, "available")
      }
    })
  )

  test(
    "neither counts nor begins anew with an attempt that says nothing of the processor",
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* Effect.all(Arr.makeBy(20, (key) => attempt(key, "unknown"))),
        Arr.replicate(true, 20)
      )
      assert.deepStrictEqual(yield* state, closed())
      yield* failTimes(9)
      assert.isTrue(yield* attempt(1, "unknown"))
      assert.deepStrictEqual(yield* state, closed(9))
      yield* fail(1)
      assert.strictEqual((yield* state).state, "open")
    })
  )

  test(
    "stays closed however often it is one order alone, and opens with the first other one",
    Effect.gen(function* () {
      // Which orders they were is forgotten too.
      yield* Effect.all([fail(1), fail(2), attempt(3, "available")])
      assert.deepStrictEqual(yield* Effect.all(Arr.replicate(fail(7), 100)), Arr.replicate(true, 100))
      assert.deepStrictEqual(yield* state, closed(100))
      assert.isTrue(yield* fail(8))
      assert.strictEqual((yield* state).state, "open")
    })
  )

  test(
    "lets one probe through after 1 s, the next after 2, 4, 8, 16, 30, 30 s",
    Effect.gen(function* () {
      const { admitted, join, last } = makeLine()
      yield* setTime(7000)
      yield* open
      yield* Effect.forEach(Arr.range(1, 20), join)
      let failedAt = 7000
      for (const [index, seconds] of [1, 2, 4, 8, 16, 30, 30, 30].entries()) {
        const probeAt = failedAt + seconds * 1000
        assert.deepStrictEqual(yield* state, { state: "open", failures: 10 + index, openedAt: 7000, probeAt })
        yield* setTime(probeAt - 1)
        assert.strictEqual(admitted.length, index)
        yield* setTime(probeAt)
        assert.strictEqual(admitted.length, index + 1)
        const probe = yield* last
        assert.isTrue(probe.isProbe)
        const halfOpen = { state: "half_open" as const, failures: 10 + index, openedAt: 7000, probeAt: undefined }
        assert.deepStrictEqual(yield* state, halfOpen)
        // However long it takes, it is the only one, and the wait for the next begins with its end.
        failedAt = probeAt + 123_456
        yield* setTime(failedAt)
        assert.strictEqual(admitted.length, index + 1)
        assert.isFalse(yield* probe.report(RowKey(index), "unavailable"))
      }
    })
  )

  test(
    "begins anew with 1 s when it opens again",
    Effect.gen(function* () {
      const { join, last } = makeLine()
      yield* open
      yield* Effect.forEach(Arr.range(1, 4), join)
      for (const time of [1000, 3000, 7000]) {
        yield* setTime(time)
        yield* Effect.flatMap(last, (probe) => probe.report(RowKey(1), "unavailable"))
      }
      yield* setTime(15_000)
      assert.isTrue(yield* Effect.flatMap(last, (probe) => probe.report(RowKey(1), "available")))
      assert.deepStrictEqual(yield* state, closed())
      yield* failTimes(9)
      assert.deepStrictEqual(yield* state, closed(9))
      yield* fail(9)
      assert.deepStrictEqual(yield* state, { state: "open", failures: 10, openedAt: 15_000, probeAt: 16_000 })
    })
  )

  test(
    "waits as long as the processor asked for, if that is longer",
    Effect.gen(function* () {
      const { join, last, names } = makeLine()
      yield* failTimes(9)
      yield* attempt(9, "unavailable", Duration.seconds(5))
      assert.strictEqual((yield* state).probeAt, 5000)
      yield* Effect.forEach(Arr.range(1, 4), join)
      yield* setTime(4999)
      assert.deepStrictEqual(names(), [])
      yield* setTime(5000)
      assert.deepStrictEqual(names(), [1])
      yield* Effect.flatMap(last, (probe) => probe.report(RowKey(1), "unavailable", Duration.minutes(2)))
      assert.strictEqual((yield* state).probeAt, 125_000)
      yield* setTime(124_999)
      assert.deepStrictEqual(names(), [1])
      yield* setTime(125_000)
      assert.deepStrictEqual(names(), [1, 2])
      // The own wait has doubled twice meanwhile.
      yield* Effect.flatMap(last, (probe) => probe.report(RowKey(2), "unavailable", Duration.seconds(3)))
      assert.strictEqual((yield* state).probeAt, 129_000)
    })
  )

  test(
    "serves first who came first",
    Effect.gen(function* () {
      const { admitted, join, last, names } = makeLine()
      yield* open
      yield* Effect.forEach([5, 3, 9, 1, 7], join)
      yield* setTime(1000)
      yield* Effect.flatMap(last, (probe) => probe.report(RowKey(5), "unavailable"))
      // Who comes again stands behind the others.
      yield* join(5)
      yield* setTime(3000)
      yield* Effect.flatMap(last, (probe) => probe.report(RowKey(3), "unavailable"))
      assert.deepStrictEqual(names(), [5, 3])
      yield* setTime(7000)
      yield* Effect.flatMap(last, (probe) => probe.report(RowKey(9), "available"))
      yield* turns
      assert.deepStrictEqual(names(), [5, 3, 9, 1, 7, 5])
      assert.deepStrictEqual(
        admitted.map(({ permit }) => permit.isProbe),
        [true, true, true, false, false, false]
      )
    })
  )

  test(
    "passes a probe that was given back to the next at once, and gives back no other permit",
    Effect.gen(function* () {
      const { join, last, names } = makeLine()
      const ordinary = yield* admit
      yield* open
      yield* Effect.forEach(Arr.range(1, 4), join)
      yield* setTime(1000)
      const first = yield* last
      first.giveBack()
      yield* turns
      assert.deepStrictEqual(names(), [1, 2])
      const second = yield* last
      assert.isTrue(second.isProbe)
      first.giveBack()
      ordinary.giveBack()
      yield* setTime(900_000)
      assert.deepStrictEqual(names(), [1, 2])
      assert.strictEqual((yield* state).state, "half_open")
      // A used one is not given back: the wait is what it would be after one probe.
      yield* second.report(RowKey(2), "unavailable")
      second.giveBack()
      yield* turns
      assert.deepStrictEqual(names(), [1, 2])
      assert.strictEqual((yield* state).probeAt, 902_000)
    })
  )

  test(
    "gives a probe that was given back to one who comes later, if nobody waits",
    Effect.gen(function* () {
      yield* open
      yield* setTime(1000)
      const probe = yield* admit
      probe.giveBack()
      assert.deepStrictEqual(yield* state, { state: "open", failures: 10, openedAt: 0, probeAt: 1000 })
      assert.isTrue((yield* admit).isProbe)
    })
  )

  for (const who of ["the probe", "an order admitted before"]) {
    test(
      `closes when ${who} is answered, and lets in all who wait`,
      Effect.gen(function* () {
        const { admitted, join, last, names } = makeLine()
        const before = yield* admit
        yield* open
        yield* Effect.forEach(Arr.range(1, 20), join)
        if (who === "the probe") yield* setTime(1000)
        const probes = who === "the probe" ? 1 : 0
        assert.strictEqual(admitted.length, probes)
        const permit = who === "the probe" ? yield* last : before
        assert.isTrue(yield* permit.report(RowKey(99), "available"))
        assert.deepStrictEqual(yield* state, closed())
        yield* turns
        assert.deepStrictEqual(names(), Arr.range(1, 20))
        assert.strictEqual(admitted.filter(({ permit }) => permit.isProbe).length, probes)
        assert.isFalse((yield* admit).isProbe)
      })
    )
  }

  test(
    "counts no late failure of an order admitted before it opened, nor is it moved by it",
    Effect.gen(function* () {
      const { join, last } = makeLine()
      const late = yield* Effect.all(Arr.replicate(admit, 3))
      yield* open
      for (const { report } of late) {
        assert.isFalse(yield* report(RowKey(1), "unknown"))
        assert.isFalse(yield* report(RowKey(1), "unavailable", Duration.minutes(1)))
      }
      assert.deepStrictEqual(yield* state, { state: "open", failures: 13, openedAt: 0, probeAt: 1000 })
      yield* join(1)
      yield* setTime(1000)
      const { report } = yield* Effect.flatMap(Arr.head(late), Effect.succeed)
      assert.isFalse(yield* report(RowKey(1), "unavailable"))
      assert.strictEqual((yield* state).state, "half_open")
      yield* Effect.flatMap(last, (probe) => probe.report(RowKey(2), "unavailable"))
      assert.strictEqual((yield* state).probeAt, 3000)
    })
  )

  for (const verdict of ["unavailable", "unknown"] as const) {
    test(
      `never counts a probe that ends ${verdict}, not even when the breaker has closed meanwhile`,
      Effect.gen(function* () {
        const before = yield* admit
        yield* open
        yield* setTime(1000)
        assert.isFalse(yield* attempt(1, verdict))
        assert.strictEqual((yield* state).probeAt, 3000)
        yield* setTime(3000)
        const probe = yield* admit
        yield* before.report(RowKey(2), "available")
        assert.isFalse(yield* probe.report(RowKey(3), verdict))
        assert.strictEqual((yield* state).state, "closed")
      })
    )
  }

  test(
    "is not disturbed by the probe of an earlier opening",
    Effect.gen(function* () {
      const { join, last, names } = makeLine()
      const before = yield* admit
      yield* open
      yield* setTime(1000)
      const stale = yield* admit
      yield* before.report(RowKey(1), "available")
      yield* open
      yield* Effect.forEach(Arr.range(1, 3), join)
      assert.isFalse(yield* stale.report(RowKey(1), "unavailable", Duration.minutes(5)))
      stale.giveBack()
      assert.strictEqual((yield* state).probeAt, 2000)
      yield* setTime(1999)
      assert.deepStrictEqual(names(), [])
      yield* setTime(2000)
      assert.deepStrictEqual(names(), [1])
      assert.isFalse(yield* stale.report(RowKey(1), "unknown"))
      stale.giveBack()
      yield* turns
      assert.deepStrictEqual(names(), [1])
      assert.strictEqual((yield* state).state, "half_open")
      yield* Effect.flatMap(last, (probe) => probe.report(RowKey(2), "unavailable"))
      assert.strictEqual((yield* state).probeAt, 4000)
    })
  )

  test(
    "loses no turn with one who no longer waits, at the head of the line, in it, or while a probe runs",
    Effect.gen(function* () {
      const { join, last, names } = makeLine()
      yield* open
      const [one, , three, four] = yield* Effect.all([join(1), join(2), join(3), join(4), join(5)])
      yield* Effect.forEach([one, three], Fiber.interrupt)
      yield* setTime(1000)
      assert.deepStrictEqual(names(), [2])
      yield* Fiber.interrupt(four)
      yield* Effect.flatMap(last, (probe) => probe.report(RowKey(2), "unavailable"))
      yield* setTime(3000)
      assert.deepStrictEqual(names(), [2, 5])
      yield* Effect.flatMap(last, (probe) => probe.report(RowKey(5), "unavailable"))
      const six = yield* join(6)
      yield* Fiber.interrupt(six)
      yield* setTime(20_000)
      assert.isTrue((yield* admit).isProbe)
    })
  )

  for (const steps of [0, 1, 2, 3, 4, 5]) {
    it.effect(`loses no turn with one who is interrupted as it comes, ${steps} steps later`, () => {
      const { clock, setTime } = makeJumpingClock()
      return Effect.gen(function* () {
        const { join, names } = makeLine()
        yield* open
        const one = yield* join(1)
        yield* join(2)
        yield* setTime(1000)
        yield* Effect.repeatN(Effect.yieldNow(), steps)
        const exit = yield* Fiber.interrupt(one)
        if (Exit.isSuccess(exit)) exit.value.giveBack()
        yield* turns
        assert.strictEqual(names().at(-1), 2)
      }).pipe(Effect.provide(breaker), Effect.withClock(clock))
    })
  }
})
