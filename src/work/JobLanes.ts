import { Effect } from "effect"
import { AppConfig } from "../AppConfig.ts"
import type { Nodes } from "../store/OrdersRepo.ts"
import { makeJobHeartbeat } from "./JobHeartbeat.ts"
import { makeJobLane } from "./JobLane.ts"

/** Of a node that processes no orders. */
const idleLane = { take: () => Effect.never, letGo: () => {}, close: Effect.void, isReady: () => true }

/** The lanes of a node. */
export const makeJobLanes = Effect.fnUntraced(function* (nodes: Nodes, onDepth: (depth: number) => void) {
  const { role, workers } = yield* AppConfig
  if (role === "api") return { open: idleLane, suspect: idleLane }
  const lanes = {
    open: yield* makeJobLane("open", workers, nodes, onDepth),
    suspect: yield* makeJobLane("suspect", 1, nodes, () => {})
  }
  yield* makeJobHeartbeat(nodes, () => [...lanes.open.jobs(), ...lanes.suspect.jobs()])
  return lanes
})
