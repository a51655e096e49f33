import { Effect, Option } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { keepRunning } from "../KeepRunning.ts"
import { Command } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"

/** How many orders one transaction looks at, and how many pieces of a long line are looked at between two pauses. */
const [piece, pieces] = [1000, 10]
const betweenPasses = "1 minute"

/**
 * Mends, each minute, what no job points at: a Pending order, or one that is Processing. There is none unless somebody changed
 * the tables: but it is also how orders begin that were accepted before there were several nodes. As long as there is
 * something to mend it goes on without a pause.
 */
export const sweeping = Effect.gen(function* () {
  const commits = yield* GroupCommit
  const { maxAttempts } = yield* AppConfig
  let after = 0

  const pass = Effect.gen(function* () {
    let [looked, pending, processing] = [0, 0, 0]
    while (looked < pieces) {
      const swept = yield* commits.settle(Command.Sweep({ after, limit: piece, maxAttempts }))
      pending += swept.pending
      processing += swept.processing
      looked = swept.pending > 0 ? 0 : looked + 1
      after = Option.getOrElse(swept.next, () => 0)
      if (after === 0) break
    }
    if (pending + processing > 0) {
      yield* Effect.logWarning(
        `No job pointed at ${pending} orders that waited and ${processing} that were processed; they have one now`
      )
    }
  })

  yield* keepRunning("sweeper", Effect.forever(Effect.zipRight(pass, Effect.sleep(betweenPasses))))
})
