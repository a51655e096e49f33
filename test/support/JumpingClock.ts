import { Clock, Duration, Effect } from "effect"
import { turns } from "./Until.ts"

/** Unlike the TestClock it shows who sleeps nothing of the times in between, so hours take no time. */
export const makeJumpingClock = () => {
  let now = 0
  let ahead = 0
  const sleepers = new Set<{ readonly until: number; readonly wake: () => void }>()
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => now + ahead,
    unsafeCurrentTimeNanos: () => BigInt(now) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => now + ahead),
    currentTimeNanos: Effect.sync(() => BigInt(now) * 1_000_000n),
    sleep: (duration) =>
      Effect.async((resume) => {
        if (Duration.toMillis(duration) <= 0) return resume(Effect.void)
        const sleeper = { until: Math.ceil(now + Duration.toMillis(duration)), wake: () => resume(Effect.void) }
        sleepers.add(sleeper)
        return Effect.sync(() => sleepers.delete(sleeper))
      })
  }
  const setTime = (time: number) =>
    Effect.sync(() => {
      now = time
      for (const sleeper of sleepers) {
        if (sleeper.until > now) continue
        sleepers.delete(sleeper)
        sleeper.wake()
      }
    })
  /** As when the clock of the machine is set: the times it shows are that far ahead, or behind, of those that pass. */
  const setAhead = (millis: number) =>
    Effect.sync(() => {
      ahead = millis
    })
  /** Goes to a time as the TestClock does: who sleeps wakes at its own, and gets as far as it can before the next. */
  const passTo = (time: number) =>
    Effect.gen(function* () {
      yield* turns
      while (true) {
        const next = Math.min(...Array.from(sleepers, ({ until }) => until))
        if (next > time) break
        yield* setTime(next)
        yield* turns
      }
      yield* setTime(time)
      yield* turns
    })
  const pass = (duration: Duration.DurationInput) => Effect.suspend(() => passTo(now + Duration.toMillis(duration)))
  controls.set(clock, { pass, passTo })
  return { clock, setTime, setAhead }
}

interface Control {
  readonly pass: (duration: Duration.DurationInput) => Effect.Effect<void>
  readonly passTo: (time: number) => Effect.Effect<void>
}

const controls = new WeakMap<Clock.Clock, Control>()

const control = Effect.clockWith((clock) => {
  const found = controls.get(clock)
  return found ? Effect.succeed(found) : Effect.dieMessage("The clock in use does not jump")
})

/** As `TestClock.adjust` and `TestClock.setTime` on the clock that jumps: who sleeps wakes in order, each at its time. */
export const adjust = (duration: Duration.DurationInput) => Effect.flatMap(control, ({ pass }) => pass(duration))
export const setTime = (time: number) => Effect.flatMap(control, ({ passTo }) => passTo(time))

/** Runs on a clock that jumps, from 0 on: it costs a small part of the TestClock, which waits in real time. */
export const jumping = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.withClock(self, makeJumpingClock().clock))
