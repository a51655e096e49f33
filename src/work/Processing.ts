import { Effect, Exit, Option, type Tracer } from "effect"
import type { CountedOutcome } from "../observe/Metrics.ts"
import { inSpan, isTraced, passingTracesOn, spanOf } from "../observe/TraceContext.ts"
import type { RowKey } from "../order/OrderChange.ts"
import type { Claim } from "../store/Command.ts"
import { OrderEvents } from "../store/OrderEvents.ts"
import { makeAttemptRecord, type RunEnd, runAnnotations } from "./AttemptRecord.ts"
import { makeAttempts } from "./Attempts.ts"
import { OrderProcessor } from "./OrderProcessor.ts"
import type { Permit } from "./Permit.ts"

/** Has claimed orders processed, and ends the attempt at one that is cancelled meanwhile. */
export const makeProcessing = Effect.gen(function* () {
  const events = yield* OrderEvents
  const processor = yield* OrderProcessor
  const traced = yield* isTraced
  const attempts = yield* traced ? makeAttempts : passingTracesOn(makeAttempts)
  const record = yield* makeAttemptRecord
  /** The runs of this process that have not ended, and those of them whose attempt is under way. */
  const claimed = new Map<RowKey, number>()
  const running = new Map<RowKey, number>()
  /** Runs that were ended while a worker holds them, be it before, during or after the attempt: cancelled, or taken for lost. */
  const ended = new Map<RowKey, { readonly run: number; readonly outcome: CountedOutcome }>()
  let graceIsOver = false

  yield* events.listen(({ changes }) => {
    for (const { key, run, to } of changes) {
      if (to !== "Processing") continue
      claimed.set(key, run)
      // Asked for again and claimed anew, perhaps while another worker still holds the run that was ended.
      ended.delete(key)
    }
  })
  yield* events.follow((changes) => {
    for (const { from, key, run, to } of changes) {
      if (!Option.contains(from, "Processing") || claimed.get(key) !== run) continue
      claimed.delete(key)
      const isRunning = running.get(key) === run
      // What ends while its attempt is under way was ended by another node, which took it for lost.
      if (to !== "Cancelled" && !isRunning) continue
      ended.set(key, { run, outcome: to === "Cancelled" ? "cancelled" : "superseded" })
      if (isRunning) attempts.interrupt(key)
    }
  })

  const attempt = ({ attempt, order, round, run, traceparent }: Claim, span: Option.Option<Tracer.Span>) => {
    const processed = Effect.suspend(() =>
      processor.process(order, { run, attempt, idempotencyKey: `${order.order_id}:${round}` })
    )
    const parent = Option.orElse(span, () => Option.flatMap(traceparent, spanOf))
    return Option.isSome(parent) ? Effect.withParentSpan(processed, parent.value) : processed
  }

  const processClaimed = (
    claim: Claim,
    permit: Permit,
    span: Option.Option<Tracer.Span> = Option.none()
  ): Effect.Effect<RunEnd> => {
    if (graceIsOver) return Effect.succeed({ outcome: "released" })
    running.set(claim.key, claim.run)
    return Effect.flatMap(attempts.run(claim.key, attempt(claim, span), runAnnotations(claim)), (exit) => {
      if (running.get(claim.key) === claim.run) running.delete(claim.key)
      const end = ended.get(claim.key)
      if (end?.run === claim.run) return Effect.succeed({ outcome: end.outcome })
      if (graceIsOver && Exit.isInterrupted(exit)) return Effect.succeed({ outcome: "released" })
      return record(claim, permit, exit)
    })
  }

  const processInSpan = (claim: Claim, permit: Permit) => {
    const { attempt, order, run, traceparent } = claim
    return inSpan(
      "orders process",
      {
        kind: "consumer",
        parent: Option.flatMap(traceparent, spanOf),
        attributes: { "orders.order_id": order.order_id, "orders.run": run, "orders.attempt": attempt }
      },
      (span) => processClaimed(claim, permit, Option.some(span)),
      (exit) =>
        Exit.isSuccess(exit)
          ? { attributes: { "orders.outcome": exit.value.outcome }, error: exit.value.error }
          : { attributes: {}, error: "defect" }
    )
  }

  return {
    /** Answers when the end of the attempt has been recorded. */
    process: traced ? processInSpan : processClaimed,
    /** Whether the run was ended before its attempt began. */
    isEnded: ({ key, run }: Claim) => ended.get(key)?.run === run,
    /** For the worker that lets go of it. */
    forget: ({ key, run }: Claim) => ended.get(key)?.run === run && ended.delete(key),
    /** Those that run now are not recorded as interrupted: they are to be put back. */
    interruptAll: () => {
      graceIsOver = true
      attempts.interruptAll()
    }
  }
})
