import { Effect } from "effect"

/** Reads the clock that is never set, in milliseconds since some time: for how long something takes, not for when it is. */
export const monotonicMillis = Effect.map(
  Effect.clock,
  (clock) => () => Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)
)
