import { Effect, Exit, Fiber, Option, Runtime } from "effect"
import { Command } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { CircuitBreaker } from "./CircuitBreaker.ts"
import { OrderProcessor } from "./OrderProcessor.ts"
import type { Permit } from "./Permit.ts"
import { claimed, type Ticket } from "./Ticket.ts"

/** For how long an order waits here for the processor before another node gets it, if there are several. */
const patience = "5 seconds"

/** Claims orders, each once the processor is there for it and the breaker admits it, and none while `isStopping`. */
export const makeClaiming = Effect.fnUntraced(function* (isStopping: () => boolean) {
  const commits = yield* GroupCommit
  const processor = yield* OrderProcessor
  const breaker = yield* CircuitBreaker
  const fork = Runtime.runFork(yield* Effect.runtime())

  const ready: Effect.Effect<void> = Effect.catchAllCause(
    Effect.suspend(() => processor.ready),
    (cause) =>
      Effect.logError("The processor cannot say whether it is ready", cause).pipe(
        Effect.zipRight(Effect.sleep("1 second")),
        Effect.zipRight(ready)
      )
  )

  /** Without an answer it may or may not have been claimed; giving it back makes it Pending in both cases. */
  const claim = (ticket: Ticket) =>
    Effect.orElse(commits.write(Command.Claim(ticket)), () => {
      const { key, run } = claimed(ticket)
      return commits.settle(Command.Release({ key: Option.some(key), run }))
    })

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

  /** Waits as long as the patience lasts. Most orders wait for nothing: a race would cost each of them two fibers and a timer. */
  const forAWhile = (admission: Effect.Effect<void>) =>
    Effect.suspend(() => {
      const fiber = fork(Effect.interruptible(admission))
      return (
        fiber.unsafePoll() ??
        Effect.ensuring(
          Effect.interruptible(Effect.asVoid(Effect.timeoutOption(Fiber.join(fiber), patience))),
          Fiber.interrupt(fiber)
        )
      )
    })

  /** What other nodes may have is waited with for a while only. */
  const admitted = ({ job, key }: Ticket) =>
    Effect.suspend(() => {
      let permit = Option.none<Permit>()
      const admission = Effect.map(Effect.zipRight(ready, breaker.admit(key)), (given) => {
        permit = Option.some(given)
      })
      // A permit that came just when the time was over is used, too.
      return Effect.map(Option.isSome(job) ? forAWhile(admission) : Effect.interruptible(admission), () => permit)
    })

  const claimDue = Effect.fnUntraced(function* (ticket: Ticket) {
    const admission = yield* admitted(ticket)
    if (Option.isNone(admission)) return Option.none()
    const permit = admission.value
    const result = isStopping() ? undefined : yield* claimNow(ticket, permit)
    if (result?._tag === "Claimed") return Option.some({ claim: result.claim, permit })
    permit.giveBack()
    return Option.none()
  })
  return {
    claimDue,
    /** The runs that claims make which are not answered yet. */
    underWay: () => Array.from(underWay, claimed)
  }
})
