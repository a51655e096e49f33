import { Effect, Exit, Option } from "effect"
import { Command } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { CircuitBreaker } from "./CircuitBreaker.ts"
import { OrderProcessor } from "./OrderProcessor.ts"
import type { Permit } from "./Permit.ts"
import type { Ticket } from "./Ticket.ts"

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
  const claim = ({ job, key }: Ticket) =>
    Effect.orElse(commits.write(Command.Claim({ key, job })), () =>
      commits.settle(Command.Release({ key: Option.some(key), run: Option.map(job, ({ run }) => run + 1) }))
    )

  const underWay = new Set<Ticket>()
  const claimNow = (ticket: Ticket, permit: Permit) =>
    Effect.suspend(() => {
      underWay.add(ticket)
      return Effect.onExit(claim(ticket), (exit) =>
        Effect.sync(() => {
          underWay.delete(ticket)
          if (Exit.isFailure(exit)) permit.giveBack()
        })
      )
    })

  const claimDue = Effect.fnUntraced(function* (ticket: Ticket) {
    const permit = yield* Effect.interruptible(Effect.zipRight(ready, breaker.admit(ticket.key)))
    const result = isStopping() ? undefined : yield* claimNow(ticket, permit)
    if (result?._tag === "Claimed") return Option.some({ claim: result.claim, permit })
    permit.giveBack()
    return Option.none()
  })
  return {
    claimDue,
    /** Those whose claim is not answered yet. */
    underWay: () => [...underWay]
  }
})
