import { Effect, Exit, Option, type Tracer } from "effect"
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
  /** Cancelled while a worker holds them, be it before, during or after the attempt. */
  const cancelled = new Set<RowKey>()
  let graceIsOver = false

  yield* events.listen(({ changes }) => {
    for (const { from, key, to } of changes) {
      // Asked for again and claimed anew, perhaps while another worker still holds the cancelled run.
      if (to === "Processing") cancelled.delete(key)
      if (to !== "Cancelled" || !Option.contains(from, "Processing")) continue
      cancelled.add(key)
      attempts.interrupt(key)
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
  ): Effect.Effect<RunEnd> =>
    Effect.flatMap(attempts.run(claim.key, attempt(claim, span), runAnnotations(claim)), (exit) => {
      if (cancelled.has(claim.key)) return Effect.succeed({ outcome: "cancelled" })
      if (graceIsOver && Exit.isInterrupted(exit)) return Effect.succeed({ outcome: "released" })
      return record(claim, permit, exit)
    })

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
    isCancelled: (key: RowKey) => cancelled.has(key),
    /** For the worker that lets go of it. */
    forget: (key: RowKey) => cancelled.delete(key),
    /** Those that run now are not recorded as interrupted: they are to be put back. */
    interruptAll: () => {
      graceIsOver = true
      attempts.interruptAll()
    }
  }
})
