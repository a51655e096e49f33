import { DateTime, Duration, Effect, Option } from "effect"
import { monotonicMillis } from "../MonotonicClock.ts"

/** What the clock may be ahead of what is known, as it is slowed down and sped up, in milliseconds. */
const leastDoubt = 1000
/** For how long a clock that is ahead is doubted at most, and by how much more it must be ahead to be doubted anew. */
const [longestDoubt, anotherDoubt] = [3_600_000, 300_000]

/**
 * What time it is, as far as the clock is believed when something is removed for its age. Starting at the time that was
 * known last, it goes by the clock that is never set. A clock that is ahead of that, because it is wrong or because the
 * service did not run for a while, is believed when it has been so for as long as it is ahead, or for an hour: without a
 * restart in between, so that a service that is restarted every few minutes under a wrong clock removes nothing. One that
 * is behind is believed at once.
 *
 * `shortest` is the least age at which something is removed: a clock that is ahead by a tenth of it is worth a warning.
 */
export const makeBelievedTime = Effect.fnUntraced(function* (
  lastKnown: Option.Option<DateTime.Utc>,
  shortest: Duration.Duration
) {
  const wallClock = yield* Effect.clock
  const monotonic = yield* monotonicMillis
  let known = {
    time: Option.match(lastKnown, {
      onNone: () => wallClock.unsafeCurrentTimeMillis(),
      onSome: DateTime.toEpochMillis
    }),
    at: monotonic()
  }
  const worthSaying = Math.max(anotherDoubt, Duration.toMillis(shortest) / 10)
  let doubt: { readonly since: number; readonly ahead: number } | undefined

  const say = (ahead: number) => {
    const inSeconds = (millis: number) => Duration.format(Duration.seconds(Math.round(millis / 1000)))
    return Effect.logWarning(
      `The clock is ${inSeconds(ahead)} ahead of the time that was known last. Either it is wrong, or the service ` +
        `did not run for that long. It is believed in ${inSeconds(Math.min(ahead, longestDoubt))}; until then old ` +
        "orders and changes are removed as if the service had run on without a break"
    )
  }

  return Effect.gen(function* () {
    const [clock, at] = [wallClock.unsafeCurrentTimeMillis(), monotonic()]
    const expected = known.time + at - known.at
    const ahead = clock - expected
    if (ahead < leastDoubt) doubt = undefined
    else if (doubt === undefined || ahead >= doubt.ahead + anotherDoubt) {
      doubt = { since: at, ahead }
      if (ahead >= worthSaying) yield* say(ahead)
    }
    const isDoubted = doubt !== undefined && at - doubt.since < Math.min(doubt.ahead, longestDoubt)
    if (!isDoubted) doubt = undefined
    known = { time: isDoubted ? expected : clock, at }
    return DateTime.unsafeMake(known.time)
  })
})
