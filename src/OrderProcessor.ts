import { Context, Data, Duration, Effect, Layer, Random } from "effect"
import { AppConfig } from "./AppConfig.ts"
import type { Order } from "./Order.ts"

/** This attempt failed; another may succeed. `delay`, if given, is waited in place of the backoff. */
export class Retryable extends Data.TaggedError("Retryable")<{
  readonly code?: string
  readonly message: string
  readonly delay?: Duration.Duration
}> {}

/** This order cannot be processed, however often it is tried. */
export class Permanent extends Data.TaggedError("Permanent")<{ readonly code: string; readonly message: string }> {}

/** The processor is at fault, not the order. */
export class Unavailable extends Data.TaggedError("Unavailable")<{
  readonly message: string
  readonly delay?: Duration.Duration
}> {}

/** `run` is never reused for an order and with its id makes the key to deduplicate by; `attempt` counts from 1. */
export interface Run {
  readonly run: number
  readonly attempt: number
}

/**
 * What processing an order means. It may run more than once for one order: a crash can come between its effect and
 * our record of it. A defect or a timeout counts as `Retryable`.
 */
export class OrderProcessor extends Context.Tag("orders/OrderProcessor")<
  OrderProcessor,
  {
    /** Awaited before an order is claimed. */
    readonly ready: Effect.Effect<void>
    /** Succeeds with a result to keep (JSON, 64 KiB at most), or with `undefined` if there is none. */
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
