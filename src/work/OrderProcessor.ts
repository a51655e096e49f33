import { Context, Data, Duration, Effect, Layer, Random } from "effect"
import { AppConfig } from "../AppConfig.ts"
import type { Order } from "../order/Order.ts"

/** This attempt failed; another may succeed, not before `delay`. */
export class Retryable extends Data.TaggedError("Retryable")<{
  readonly code?: string
  readonly message: string
  readonly delay?: Duration.Duration
}> {}

/** This order cannot be processed, however often it is tried. */
export class Permanent extends Data.TaggedError("Permanent")<{ readonly code: string; readonly message: string }> {}

/**
 * The processor is at fault, not the order. Several in a row open the circuit breaker: then orders wait, and use up no
 * attempts, until one gets through. If one order alone meets with it, that may be the order's doing all the same, and
 * its attempts count; unless the processor was `unreachable`, which is no order's doing.
 */
export class Unavailable extends Data.TaggedError("Unavailable")<{
  readonly code?: string
  readonly message: string
  readonly unreachable?: boolean
  readonly delay?: Duration.Duration
}> {}

export interface Run {
  /** Counts the times the order was handed out; never reused. */
  readonly run: number
  /** Counts towards `MAX_ATTEMPTS`, from 1. A run that does not count leaves its number to the next. */
  readonly attempt: number
  /** What to deduplicate by: the same for all runs of an order until someone asks for it again (a manual retry). */
  readonly idempotencyKey: string
}

/** Characters of JSON a result may have. */
export const maxResult = 65_536

/**
 * What processing an order means. It may run more than once for one order: a crash can come between its effect and
 * our record of it. A defect or a timeout counts as `Retryable`.
 */
export class OrderProcessor extends Context.Tag("orders/OrderProcessor")<
  OrderProcessor,
  {
    /** Which of the built-in ones it is; none of them if absent. */
    readonly name?: "simulated" | "webhook"
    /** Awaited before an order is claimed. */
    readonly ready: Effect.Effect<void>
    /**
     * Succeeds with a result to keep (JSON, 65,536 characters at most), or with `undefined` if there is none. Codes of
     * errors are kept up to 128 characters (a longer one ends in a digest of it), messages up to 1 KiB. It is
     * interrupted when the order is cancelled, at `ATTEMPT_TIMEOUT`, and when a shutdown's grace is over.
     */
    readonly process: (order: Order, run: Run) => Effect.Effect<unknown, Retryable | Permanent | Unavailable>
  }
>() {
  /** Sleeps for `PROCESSING_TIME` give or take `PROCESSING_JITTER`; the same order and run always take the same time. */
  static readonly layerSimulated = Layer.effect(
    this,
    Effect.gen(function* () {
      const { processingFailures, processingJitter, processingTime } = yield* AppConfig
      yield* Effect.logWarning("PROCESSOR=simulated: orders are only pretended to be processed")
      return {
        name: "simulated" as const,
        ready: Effect.void,
        process: Effect.fnUntraced(function* (order, { run }) {
          const random = Random.make(`${order.order_id} ${run}`)
          const factor = yield* random.nextRange(1 - processingJitter, 1 + processingJitter)
          const fails = (yield* random.next) < processingFailures
          yield* Effect.sleep(Math.round(Duration.toMillis(processingTime) * factor))
          if (fails) return yield* new Retryable({ code: "simulated", message: "A simulated failure" })
        })
      }
    })
  )
}
