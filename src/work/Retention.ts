import { Array as Arr, DateTime, Duration, Effect, Layer, Option } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { keepRunning } from "../KeepRunning.ts"
import { Command } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"
import { makeBelievedTime } from "./BelievedTime.ts"
import { trimming } from "./Trimming.ts"

/** Removed in one transaction, and the pause before the next: little enough that intake does not notice. */
const [orders, changes] = [200, 1000]
const pause = "20 millis"
const betweenPasses = "1 minute"

/**
 * Removes Completed and Cancelled orders that have been final for longer than `RETENTION`, each but for a small record,
 * and changes that are older than `HISTORY`. Either may be off. Failed orders stay, as do the all-time totals.
 */
export const RetentionLive = Layer.scopedDiscard(
  Effect.gen(function* () {
    const { history, retention } = yield* AppConfig
    const repo = yield* OrdersRepo
    if (Option.isNone(history) && Option.isSome(repo.nodes)) yield* trimming(repo.nodes.value)
    const ages = Arr.getSomes([retention, history])
    if (!Arr.isNonEmptyArray(ages)) return
    const commits = yield* GroupCommit
    const believedTime = yield* makeBelievedTime(yield* repo.retentionTime, Arr.min(ages, Duration.Order))

    /** Removes what is older than that: how many. */
    const remove = Effect.fnUntraced(function* (
      command: typeof Command.Prune | typeof Command.Forget,
      age: Duration.Duration,
      asOf: DateTime.Utc,
      limit: number
    ) {
      const before = DateTime.subtractDuration(asOf, age)
      let count = 0
      while (true) {
        const result = yield* commits.settle(command({ before, asOf, limit }))
        count += result.count
        if (result.count < limit) return count
        yield* Effect.sleep(pause)
      }
    })

    const pass = Effect.gen(function* () {
      const asOf = yield* believedTime
      if (Option.isSome(retention)) {
        const count = yield* remove(Command.Prune, retention.value, asOf, orders)
        if (count > 0) yield* Effect.logInfo(`Removed ${count} orders past their retention`)
      }
      if (Option.isSome(history)) {
        const count = yield* remove(Command.Forget, history.value, asOf, changes)
        if (count > 0) yield* Effect.logDebug(`Removed ${count} changes from the history`)
      }
    })

    yield* keepRunning("retention fiber", Effect.forever(Effect.zipRight(pass, Effect.sleep(betweenPasses))))
  })
)
