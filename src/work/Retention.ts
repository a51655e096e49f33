import { DateTime, Duration, Effect, Layer, Option } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { keepRunning } from "../KeepRunning.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { Command } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"

/** Orders removed in one transaction, and the pause before the next: little enough that intake does not notice. */
const batch = 200
const pause = "20 millis"
const betweenPasses = "1 minute"

/** What the clock may be ahead of what retention knows, as it is slowed down and sped up, in milliseconds. */
const leastDoubt = 1000
/** For how long a clock that is ahead is doubted at most, and from how much on that is worth a line in the log. */
const [longestDoubt, worthSaying] = [3_600_000, 300_000]

/**
 * What time it is, as far as retention believes the clock. Starting at the time it knew last, it goes by the clock that
 * is never set. A clock that is ahead of that, because it is wrong or because the service did not run for a while, is
 * believed when it has been so for as long as it is ahead, or for an hour: without a restart in between, so that a
 * service that is restarted every few minutes under a wrong clock removes nothing. One that is behind is believed at once.
 */
const makeBelievedTime = Effect.fnUntraced(function* (lastKnown: Option.Option<DateTime.Utc>) {
  const wallClock = yield* Effect.clock
  const monotonic = yield* monotonicMillis
  let known = {
    time: Option.match(lastKnown, {
      onNone: () => wallClock.unsafeCurrentTimeMillis(),
      onSome: DateTime.toEpochMillis
    }),
    at: monotonic()
  }
  let doubt: { readonly since: number; readonly ahead: number } | undefined

  const say = (ahead: number) => {
    const inSeconds = (millis: number) => Duration.format(Duration.seconds(Math.round(millis / 1000)))
    return Effect.logWarning(
      `The clock is ${inSeconds(ahead)} ahead of the time that RETENTION knew last. Either it is wrong, or the service ` +
        `did not run for that long. It is believed in ${inSeconds(Math.min(ahead, longestDoubt))}; until then orders ` +
        "are removed as if the service had run on without a break"
    )
  }

  return Effect.gen(function* () {
    const [clock, at] = [wallClock.unsafeCurrentTimeMillis(), monotonic()]
    const expected = known.time + at - known.at
    const ahead = clock - expected
    if (ahead < leastDoubt) doubt = undefined
    else if (doubt === undefined || ahead >= doubt.ahead + worthSaying) {
      doubt = { since: at, ahead }
      if (ahead >= worthSaying) yield* say(ahead)
    }
    const isDoubted = doubt !== undefined && at - doubt.since < Math.min(doubt.ahead, longestDoubt)
    if (!isDoubted) doubt = undefined
    known = { time: isDoubted ? expected : clock, at }
    return DateTime.unsafeMake(known.time)
  })
})

/**
 * Removes Completed and Cancelled orders that have been final for longer than `RETENTION`, each but for a small record.
 * Off unless that is set. Failed orders stay, as do the all-time totals.
 */
export const RetentionLive = Layer.scopedDiscard(
  Effect.gen(function* () {
    const { retention } = yield* AppConfig
    if (Option.isNone(retention)) return
    const commits = yield* GroupCommit
    const repo = yield* OrdersRepo
    const believedTime = yield* makeBelievedTime(yield* repo.retentionTime)

    const pass = Effect.gen(function* () {
      const asOf = yield* believedTime
      const before = DateTime.subtractDuration(asOf, retention.value)
      let count = 0
      while (true) {
        const result = yield* commits.settle(Command.Prune({ before, asOf, limit: batch }))
        count += result.count
        if (result.count < batch) break
        yield* Effect.sleep(pause)
      }
      if (count > 0) yield* Effect.logInfo(`Removed ${count} orders past their retention`)
    })

    yield* keepRunning("retention fiber", Effect.forever(Effect.zipRight(pass, Effect.sleep(betweenPasses))))
  })
)
