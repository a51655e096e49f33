import { Context, Effect, Layer } from "effect"
import { ServiceMetrics } from "../api/Answers.ts"
import { Metrics } from "../observe/Metrics.ts"
import { CircuitBreaker } from "../work/CircuitBreaker.ts"
import { OrderProcessor } from "../work/OrderProcessor.ts"

/** How the service and what processes its orders are doing. */
export class ServiceStatus extends Context.Tag("orders/ServiceStatus")<
  ServiceStatus,
  {
    /** What `GET /api/metrics` answers. */
    readonly metrics: Effect.Effect<ServiceMetrics>
    /** How the circuit breaker in front of the processor stands. */
    readonly breaker: Effect.Effect<ServiceMetrics["breaker"]>
  }
>() {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const { snapshot } = yield* Metrics
      const { state } = yield* CircuitBreaker
      const { name: processor = "custom" } = yield* OrderProcessor
      return {
        metrics: Effect.zipWith(
          snapshot,
          state,
          (figures, breaker) => new ServiceMetrics({ ...figures, processor, breaker })
        ),
        breaker: state
      }
    })
  )
}
