import { DateTime, Effect, Layer, Option } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { Command, type RowKey } from "./Command.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { keepRunning } from "./KeepRunning.ts"

/** Orders looked at in one transaction, and the pause before the next: little enough that intake does not notice. */
const batch = 200
const pause = "20 millis"
const betweenPasses = "1 minute"

/**
 * Removes Completed and Cancelled orders that have been final for longer than `RETENTION`, each but for a small record.
 * Off unless that is set. Failed orders stay, as do the all-time totals.
 */
export const RetentionLive = Layer.scopedDiscard(
  Effect.gen(function* () {
    const { retention } = yield* AppConfig
    if (Option.isNone(retention)) return
    const commits = yield* GroupCommit

    const pass = Effect.gen(function* () {
      const before = DateTime.subtractDuration(yield* DateTime.now, retention.value)
      let after: RowKey = 0
      let count = 0
      while (true) {
        const result = yield* commits.settle(Command.Prune({ before, after, limit: batch }))
        if (result._tag !== "Pruned" || Option.isNone(result.last)) break
        count += result.count
        after = result.last.value
        yield* Effect.sleep(pause)
      }
      if (count > 0) yield* Effect.logInfo(`Removed ${count} orders past their retention`)
    })

    yield* keepRunning("retention fiber", Effect.forever(Effect.zipRight(pass, Effect.sleep(betweenPasses))))
  })
)
