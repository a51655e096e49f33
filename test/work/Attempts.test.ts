import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, FiberRef, Logger, LogLevel, Option, TestClock } from "effect"
import { AppConfig } from "../../src/AppConfig.ts"
import { RowKey } from "../../src/order/OrderChange.ts"
import { TimedOut } from "../../src/work/AttemptEnd.ts"
import { makeAttempts } from "../../src/work/Attempts.ts"
import { turns } from "../support/Until.ts"

const [one, two] = [RowKey(1), RowKey(2)]

const make = Effect.provide(makeAttempts, AppConfig.layerTest({ attemptTimeout: Duration.seconds(2) }))

/** An attempt that ends when it is let go, and what became of it. */
const held = Effect.gen(function* () {
  const latch = yield* Effect.makeLatch()
  const seen = { begun: 0, interrupted: 0, ended: 0 }
  const attempt = Effect.suspend(() => {
    seen.begun += 1
    return latch.await
  }).pipe(
    Effect.zipRight(Effect.sync(() => (seen.ended += 1))),
    Effect.as("done"),
    Effect.onInterrupt(() => Effect.sync(() => (seen.interrupted += 1)))
  )
  return { attempt, seen, letGo: Effect.zipRight(latch.open, turns) }
})

const exitOf = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) =>
  Effect.flatMap(Fiber.poll(fiber), (exit) => Effect.flatten(exit))

const isInterrupted = (exit: Exit.Exit<unknown, unknown>) => Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)

const isTimedOut = (exit: Exit.Exit<unknown, unknown>) => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return error instanceof TimedOut && error.message === "No outcome within 2s"
}

describe("an attempt", () => {
  it.scoped("that ends at once has its exit in the same step, whatever it is", () =>
    Effect.gen(function* () {
      const { run } = yield* make
      for (const exit of [Exit.succeed(1), Exit.fail("no"), Exit.die("boom"), Exit.interrupt(yield* Effect.fiberId)]) {
        assert.deepStrictEqual(Effect.runSync(run(one, exit, {})), exit)
      }
      const thrown = Effect.runSync(
        run(
          one,
          Effect.sync(() => {
            throw new Error("boom")
          }),
          {}
        )
      )
      assert.isTrue(Exit.isFailure(thrown) && Cause.isDie(thrown.cause))
    })
  )

  it.scoped("that ends later has its exit then, and nothing ends it any more", () =>
    Effect.gen(function* () {
      const { interrupt, run } = yield* make
      const { attempt, letGo, seen } = yield* held
      const worker = yield* Effect.fork(run(one, attempt, {}))
      const failing = yield* Effect.fork(run(two, Effect.zipRight(Effect.sleep("1 second"), Effect.fail("no")), {}))
      yield* turns
      assert.isTrue(Option.isNone(yield* Fiber.poll(worker)))
      yield* letGo
      assert.deepStrictEqual(yield* exitOf(worker), Exit.succeed("done"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* exitOf(failing), Exit.fail("no"))
      interrupt(one)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(seen, { begun: 1, interrupted: 0, ended: 1 })
    })
  )

  it.scoped("is ended when its time is over, each at its own", () =>
    Effect.gen(function* () {
      const { run } = yield* make
      const [first, second] = [yield* held, yield* held]
      // Long after it was made.
      yield* TestClock.adjust("1 hour")
      const early = yield* Effect.fork(run(one, first.attempt, {}))
      yield* TestClock.adjust("1500 millis")
      const late = yield* Effect.fork(run(two, second.attempt, {}))
      yield* TestClock.adjust("499 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(early)))
      yield* TestClock.adjust("1 millis")
      assert.isTrue(isTimedOut(yield* exitOf(early)))
      assert.strictEqual(first.seen.interrupted, 1)
      yield* TestClock.adjust("1499 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(late)))
      yield* TestClock.adjust("1 millis")
      assert.isTrue(isTimedOut(yield* exitOf(late)))
      assert.strictEqual(second.seen.interrupted, 1)
    })
  )

  it.scoped("is interrupted by its key, and no other with it", () =>
    Effect.gen(function* () {
      const { interrupt, run } = yield* make
      const [first, second] = [yield* held, yield* held]
      const [worker, other] = [
        yield* Effect.fork(run(one, first.attempt, {})),
        yield* Effect.fork(run(two, second.attempt, {}))
      ]
      yield* turns
      interrupt(RowKey(3))
      interrupt(one)
      yield* turns
      assert.isTrue(isInterrupted(yield* exitOf(worker)))
      assert.deepStrictEqual(first.seen, { begun: 1, interrupted: 1, ended: 0 })
      assert.isTrue(Option.isNone(yield* Fiber.poll(other)))
      yield* second.letGo
      assert.deepStrictEqual(yield* exitOf(other), Exit.succeed("done"))
    })
  )

  it.scoped("is interrupted with all others at a shutdown", () =>
    Effect.gen(function* () {
      const { interruptAll, run } = yield* make
      const { attempt, seen } = yield* held
      const workers = yield* Effect.forEach([1, 2, 3], (key) => Effect.fork(run(RowKey(key), attempt, {})))
      yield* turns
      interruptAll()
      yield* turns
      for (const worker of workers) assert.isTrue(isInterrupted(yield* exitOf(worker)))
      assert.deepStrictEqual(seen, { begun: 3, interrupted: 3, ended: 0 })
    })
  )

  for (const [how, end, isSo] of [
    ["by interruption", (interrupt: () => void) => Effect.zipRight(Effect.sync(interrupt), turns), isInterrupted],
    ["by the end of its time", () => TestClock.adjust("2 seconds"), isTimedOut]
  ] as const) {
    it.scoped(`that will not be interrupted does not hold its worker when it is ended ${how}`, () =>
      Effect.gen(function* () {
        const { interrupt, run } = yield* make
        const [stubborn, next] = [yield* held, yield* held]
        const worker = yield* Effect.fork(run(one, Effect.uninterruptible(stubborn.attempt), {}))
        yield* turns
        yield* end(() => interrupt(one))
        assert.isTrue(isSo(yield* exitOf(worker)))
        assert.strictEqual(stubborn.seen.ended, 0)

        // Its late end is not taken for that of the next run.
        const again = yield* Effect.fork(run(one, next.attempt, {}))
        yield* stubborn.letGo
        assert.strictEqual(stubborn.seen.ended, 1)
        assert.isTrue(Option.isNone(yield* Fiber.poll(again)))
        interrupt(one)
        yield* turns
        assert.isTrue(isInterrupted(yield* exitOf(again)))
        assert.strictEqual(next.seen.interrupted, 1)
      })
    )
  }

  it.scoped("is interrupted when another at the same order begins", () =>
    Effect.gen(function* () {
      const { run } = yield* make
      const [first, second] = [yield* held, yield* held]
      const worker = yield* Effect.fork(run(one, first.attempt, {}))
      yield* turns
      const other = yield* Effect.fork(run(one, second.attempt, {}))
      yield* turns
      assert.isTrue(isInterrupted(yield* exitOf(worker)))
      assert.strictEqual(first.seen.interrupted, 1)
      yield* second.letGo
      assert.deepStrictEqual(yield* exitOf(other), Exit.succeed("done"))
    })
  )

  it.scoped("inherits from where attempts are made, and nothing of the worker that waits for it", () =>
    Effect.gen(function* () {
      const ref = yield* FiberRef.make("nothing")
      const { run } = yield* make.pipe(
        Effect.locally(ref, "maker"),
        Effect.annotateLogs("made", "here"),
        Effect.uninterruptible
      )
      const seen = yield* Deferred.make<readonly [string, Record<string, unknown>]>()
      let interrupted = false
      const endless = Effect.onInterrupt(Effect.never, () => Effect.sync(() => (interrupted = true)))
      const look = Effect.all([FiberRef.get(ref), Effect.map(Effect.logAnnotations, (it) => Object.fromEntries(it))])
      const worker = yield* run(one, Effect.zipRight(Deferred.complete(seen, look), endless), {
        order_id: "1"
      }).pipe(Effect.locally(ref, "worker"), Effect.annotateLogs("waits", "there"), Effect.uninterruptible, Effect.fork)
      assert.deepStrictEqual(yield* Deferred.await(seen), ["maker", { made: "here", order_id: "1" }])
      // It can be interrupted, whatever is so where they are made, or in the worker.
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(isTimedOut(yield* exitOf(worker)))
      assert.isTrue(interrupted)
    })
  )

  it.scoped("that fails logs nothing of what is in its error", () => {
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const { run } = yield* make
      yield* run(one, Effect.fail("secret"), {})
      const worker = yield* Effect.fork(run(one, Effect.zipRight(Effect.sleep("1 second"), Effect.die("secret")), {}))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* exitOf(worker), Exit.die("secret"))
      assert.deepStrictEqual(lines, [])
    }).pipe(
      Effect.provide(
        Logger.add(Logger.make(({ cause, message }) => void lines.push(`${message} ${Cause.pretty(cause)}`)))
      ),
      Logger.withMinimumLogLevel(LogLevel.All)
    )
  })
})
