import { Context, Effect, Layer } from "effect"
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
      const { nodes } = yield* Fleet
      const { name: processor = "custom" } = yield* OrderProcessor
      return {
        metrics: Effect.zipWith(snapshot, nodes, (ofOrders, nodes) => {
          const living = nodes.filter(({ alive }) => alive)
          const figures = together(living.map(({ figures }) => figures))
          return new ServiceMetrics({ ...ofOrders, ...figures, processor, breaker: worstBreaker(living) })
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
