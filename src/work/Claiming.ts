import { Effect, Option } from "effect"
import type { RowKey } from "../order/OrderChange.ts"
import { Command } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { CircuitBreaker } from "./CircuitBreaker.ts"
import { OrderProcessor } from "./OrderProcessor.ts"

/** Claims orders, each once the processor is there for it and the breaker admits it, and none while `isStopping`. */
export const makeClaiming = Effect.fnUntraced(function* (isStopping: () => boolean) {
  const commits = yield* GroupCommit
  const processor = yield* OrderProcessor
  const breaker = yield* CircuitBreaker

  const ready: Effect.Effect<void> = Effect.catchAllCause(
    Effect.suspend(() => processor.ready),
    (cause) =>
      Effect.logError("The processor cannot say whether it is ready", cause).pipe(
        Effect.zipRight(Effect.sleep("1 second")),
        Effect.zipRight(ready)
      )
  )

  /** Without an answer it may or may not have been claimed; giving it back makes it Pending in both cases. */
  const claim = (key: RowKey) =>
    Effect.orElse(commits.write(Command.Claim({ key })), () =>
      commits.settle(Command.Release({ key: Option.some(key) }))
    )

  return Effect.fnUntraced(function* (key: RowKey) {
    const permit = yield* Effect.interruptible(Effect.zipRight(ready, breaker.admit(key)))
    const result = isStopping() ? undefined : yield* Effect.onError(claim(key), () => Effect.sync(permit.giveBack))
    if (result?._tag === "Claimed") return Option.some({ claim: result.claim, permit })
    permit.giveBack()
    return Option.none()
  })
})
