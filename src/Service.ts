import { Layer } from "effect"
import { CircuitBreaker } from "./CircuitBreaker.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { HttpLive } from "./Http.ts"
import { Metrics } from "./Metrics.ts"
import { AddressLive, DrainLive, NodeServer, ServerLive } from "./NodeServer.ts"
import { OrderEvents } from "./OrderEvents.ts"
import { OrderQueue } from "./OrderQueue.ts"
import { Orders } from "./Orders.ts"
import { OrderWorkersLive } from "./OrderWorkers.ts"
import { RetentionLive } from "./Retention.ts"

/**
 * The whole service but for what it stands on: settings, a repository and a processor. Started from the bottom: an
 * address that is taken ends the start before any work is begun. Ended from the top: no new work, running requests
 * answered, HTTP closed, workers finished, writes flushed.
 */
export const ServiceLive = AddressLive.pipe(
  Layer.provideMerge(DrainLive),
  Layer.provideMerge(HttpLive),
  Layer.provideMerge(OrderWorkersLive),
  Layer.provideMerge(RetentionLive),
  Layer.provideMerge(Orders.layer),
  Layer.provideMerge(OrderQueue.layer),
  Layer.provideMerge(CircuitBreaker.layer),
  Layer.provideMerge(Metrics.layer),
  Layer.provideMerge(GroupCommit.layer),
  Layer.provideMerge(OrderEvents.layer),
  Layer.provideMerge(ServerLive),
  Layer.provideMerge(NodeServer.layer)
)
