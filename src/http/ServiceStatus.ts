import { Context, Effect, Layer, Option } from "effect"
import { NodeList, ServiceMetrics } from "../api/Answers.ts"
import { together } from "../observe/Figures.ts"
import { Metrics } from "../observe/Metrics.ts"
import { CircuitBreaker } from "../work/CircuitBreaker.ts"
import { Fleet, worstBreaker } from "../work/Fleet.ts"
import { OrderProcessor } from "../work/OrderProcessor.ts"

/** How the service and what processes its orders are doing. */
export class ServiceStatus extends Context.Tag("orders/ServiceStatus")<
  ServiceStatus,
  {
    /** What `GET /api/metrics` answers: for all nodes that live. */
    readonly metrics: Effect.Effect<ServiceMetrics>
    /** What `GET /api/nodes` answers. */
    readonly nodes: Effect.Effect<NodeList>
    /** How the circuit breaker of this node stands, in front of the processor. */
    readonly breaker: Effect.Effect<ServiceMetrics["breaker"]>
  }
>() {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const { snapshot } = yield* Metrics
      const { state } = yield* CircuitBreaker
      const { due, nodes } = yield* Fleet
      const { name: processor = "custom" } = yield* OrderProcessor
      return {
        metrics: Effect.gen(function* () {
          const ofOrders = yield* snapshot
          const living = (yield* nodes).filter(({ alive }) => alive)
          const figures = together(living.map(({ figures }) => figures))
          // Several nodes leave to the engine what no worker is free for: all that is due is in their one queue.
          const queue_depth = Option.getOrElse(yield* due, () => figures.queue_depth)
          return new ServiceMetrics({ ...ofOrders, ...figures, queue_depth, processor, breaker: worstBreaker(living) })
        }),
        nodes: Effect.map(
          nodes,
          (nodes) =>
            new NodeList({
              nodes: nodes.map(({ figures: { workers, workers_busy }, ...node }) => ({
                ...node,
                workers,
                workers_busy
              }))
            })
        ),
        breaker: state
      }
    })
  )
}
