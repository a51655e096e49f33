import { Context, Deferred, Effect, Layer } from "effect"
import { Metrics } from "../observe/Metrics.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"
import { OrderQueue } from "../work/OrderQueue.ts"
import { NodeServer } from "./NodeServer.ts"

/** Whether traffic should come here. Asking may try a write, and sets the metric. */
export class Readiness extends Context.Tag("orders/Readiness")<
  Readiness,
  {
    /** Why the service is not ready; empty if it is. */
    readonly reasons: Effect.Effect<ReadonlyArray<string>>
  }
>() {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const metrics = yield* Metrics
      const commits = yield* GroupCommit
      const queue = yield* OrderQueue
      const { fault } = yield* OrdersRepo
      const { isDraining } = yield* NodeServer
      const find = Effect.gen(function* () {
        if (isDraining()) return ["shutting down"]
        if (yield* Deferred.isDone(fault)) return ["the database is lost or damaged, see the log"]
        const reasons: Array<string> = []
        if (!(yield* commits.ready)) reasons.push("orders cannot be written")
        if (!(yield* queue.ready)) reasons.push("orders cannot be read")
        return reasons
      })
      return { reasons: Effect.tap(find, ({ length }) => metrics.ready(length === 0)) }
    })
  )
}
