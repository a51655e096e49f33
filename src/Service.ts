import { Layer } from "effect"
import { version } from "./api/Version.ts"
import { HttpLive } from "./http/Http.ts"
import { AddressLive, DrainLive, NodeServer, ServerLive } from "./http/NodeServer.ts"
import { Readiness } from "./http/Readiness.ts"
import { ServiceStatus } from "./http/ServiceStatus.ts"
import { Orders } from "./Orders.ts"
import { Metrics } from "./observe/Metrics.ts"
import { ChangeFeed } from "./store/ChangeFeed.ts"
import { GroupCommit } from "./store/GroupCommit.ts"
import { OrderEvents } from "./store/OrderEvents.ts"
import { CircuitBreaker } from "./work/CircuitBreaker.ts"
import { Fleet } from "./work/Fleet.ts"
import { OrderQueue } from "./work/OrderQueue.ts"
import { OrderWorkersLive } from "./work/OrderWorkers.ts"
import { RetentionLive } from "./work/Retention.ts"

/** All that runs behind HTTP, but for the settings, a repository and a processor. */
export const EngineLive = OrderWorkersLive.pipe(
  Layer.provideMerge(RetentionLive),
  Layer.provideMerge(Orders.layer),
  Layer.provideMerge(OrderQueue.layer),
  Layer.provideMerge(Fleet.layer(version)),
  Layer.provideMerge(CircuitBreaker.layer),
  Layer.provideMerge(Metrics.layer),
  Layer.provideMerge(GroupCommit.layer),
  Layer.provideMerge(ChangeFeed.layer),
  Layer.provideMerge(OrderEvents.layer)
)

/**
 * The whole service but for what it stands on: settings, keys, a repository and a processor. Started from the bottom: an
 * address that is taken ends the start before any work is begun. Ended from the top: no new work, running requests
 * answered, HTTP closed, workers finished, writes flushed.
 */
export const serviceBy = (http: typeof HttpLive) =>
  AddressLive.pipe(
    Layer.provideMerge(DrainLive),
    Layer.provideMerge(http),
    Layer.provideMerge(Readiness.layer),
    Layer.provideMerge(ServiceStatus.layer),
    Layer.provideMerge(EngineLive),
    Layer.provideMerge(ServerLive),
    Layer.provideMerge(NodeServer.layer)
  )

export const ServiceLive = serviceBy(HttpLive)
