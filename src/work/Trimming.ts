import { Effect, Option } from "effect"
import { keepRunning } from "../KeepRunning.ts"
import type { Nodes } from "../store/OrdersRepo.ts"

/** Little enough at a time that other nodes are heard of meanwhile. */
const [betweenPieces, betweenPasses] = ["20 millis", "1 minute"] as const

/** Where `HISTORY` is off, what nodes keep for each other is to stay small: the last changes of all. */
export const trimming = ({ trim }: Pick<Nodes, "trim">) => {
  let after = 0
  const pass = Effect.gen(function* () {
    while (true) {
      const last = yield* trim(after)
      if (Option.isNone(last)) return
      after = last.value
      yield* Effect.sleep(betweenPieces)
    }
  })
  // A database that is away is noticed elsewhere.
  const passes = Effect.forever(Effect.zipRight(Effect.ignore(pass), Effect.sleep(betweenPasses)))
  return keepRunning("trimming fiber", passes)
}
