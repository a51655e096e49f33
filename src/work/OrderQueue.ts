import { Context, Effect, Layer, Option } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { Metrics } from "../observe/Metrics.ts"
import type { Claim, Lane } from "../store/Command.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"
import { makeJobLanes } from "./JobLanes.ts"
import { makeRebase } from "./Rebase.ts"
import type { Ticket } from "./Ticket.ts"
import { makeWindowLane } from "./WindowLane.ts"

/**
 * The orders that are due, for the workers to take: a bounded window onto the table, which is the truth. New orders,
 * those beyond the capacity, retries that came due and those found at the start all come this one way. Where several nodes
 * work on the orders, an engine hands them out, to each node what its workers have room for.
 */
export class OrderQueue extends Context.Tag("orders/OrderQueue")<
  OrderQueue,
  {
    /**
     * The lane's next order due. Waits for one, and can be interrupted meanwhile. It is handed out once until `use` ends,
     * however it ends, by when the claim must have been decided; should the order be Pending then, it is handed out again.
     */
    readonly take: <A, E, R>(lane: Lane, use: (ticket: Ticket) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    /** To be called when a worker is done with a claim, whether or not its end was recorded. */
    readonly letGo: (lane: Lane, claim: Claim) => void
    /** Hands out no more, and gives what no worker has taken to other nodes, if there are any. */
    readonly close: Effect.Effect<void>
    /** Whether the table could be read the last time. */
    readonly ready: Effect.Effect<boolean>
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const { queueDepth } = yield* Metrics
      const { nodes } = yield* OrdersRepo
      const lanes: Lanes = Option.isNone(nodes)
        ? yield* makeWindowLanes(queueDepth)
        : yield* makeJobLanes(nodes.value, queueDepth)
      return {
        take: (lane, use) => lanes[lane].take(use),
        letGo: (lane, claim) => lanes[lane].letGo(claim),
        close: Effect.zipRight(lanes.open.close, lanes.suspect.close),
        ready: Effect.sync(() => lanes.open.isReady() && lanes.suspect.isReady())
      }
    })
  )
}

/** What both kinds of lanes give. */
type Lanes = Readonly<
  Record<
    Lane,
    {
      readonly take: <A, E, R>(use: (ticket: Ticket) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
      readonly letGo: (claim: Claim) => void
      readonly close: Effect.Effect<void>
      readonly isReady: () => boolean
    }
  >
>

/** Suspects run one at a time, so there is no use in holding many. */
const suspectCapacity = 2

const makeWindowLanes = Effect.fnUntraced(function* (onDepth: (depth: number) => void) {
  const { queueCapacity } = yield* AppConfig
  const rebase = yield* makeRebase
  return {
    open: yield* makeWindowLane("open", queueCapacity, rebase, onDepth),
    suspect: yield* makeWindowLane("suspect", suspectCapacity, rebase, () => {})
  }
})
