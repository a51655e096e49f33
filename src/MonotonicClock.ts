import { Effect } from "effect"

/** The least that counts as setting the clock, in milliseconds: it is also slowed down and sped up, to correct it. */
export const leastJump = 1000

/** Reads the clock that is never set, in milliseconds since some time: for how long something takes, not for when it is. */
export const monotonicMillis = Effect.map(
  Effect.clock,
  (clock) => () => Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)
)

/**
 * By how many milliseconds the wall clock was set since the last call, and 0 if it was not. To be called
 * every few seconds.
 */
export const clockJump = Effect.map(Effect.all([Effect.clock, monotonicMillis]), ([clock, monotonic]) => {
  const ahead = () => clock.unsafeCurrentTimeMillis() - monotonic()
  let before = ahead()
  return () => {
    const now = ahead()
    const by = now - before
    before = now
    return Math.abs(by) < leastJump ? 0 : by
  }
})
