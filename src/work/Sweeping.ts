import { Effect, Option } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { keepRunning } from "../KeepRunning.ts"
import { Command } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"

/** How many orders one transaction looks at. */
const piece = 1000
const [betweenPieces, betweenPasses] = ["100 millis", "1 minute"] as const

/**
 * Mends, each minute, what no job points at: a Pending order, or one that is Processing. There is none unless somebody changed
 * the tables: but it is also how orders begin that were accepted before there were several nodes.
 */
export const sweeping = Effect.gen(function* () {
  const commits = yield* GroupCommit
  const { maxAttempts } = yield* AppConfig

  const sweep = Effect.fnUntraced(function* (status: "Pending" | "Processing") {
    let mended = 0
    let after = 0
    while (true) {
      const { count, next } = yield* commits.settle(Command.Sweep({ status, after, limit: piece, maxAttempts }))
      mended += count
      if (Option.isNone(next)) return mended
      after = next.value
      // What is mended can be worked on meanwhile: other writes go first.
      yield* Effect.sleep(betweenPieces)
    }
  })
  const pass = Effect.gen(function* () {
    const processing = yield* sweep("Processing")
    const pending = yield* sweep("Pending")
    if (pending + processing > 0) {
      yield* Effect.logWarning(
        `No job pointed at ${pending} orders that waited and ${processing} that were processed; they have one now`
      )
    }
  })

  yield* keepRunning("sweeper", Effect.forever(Effect.zipRight(pass, Effect.sleep(betweenPasses))))
})
