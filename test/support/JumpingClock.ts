import { Clock, Duration, Effect } from "effect"

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
        const sleeper = { until: now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
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
  return { clock, setTime, setAhead }
}
