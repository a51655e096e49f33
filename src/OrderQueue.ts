import { Clock, Context, Effect, Layer, Option, Queue } from "effect"
import { AppConfig } from "./AppConfig.ts"
import type { RowKey } from "./Command.ts"
import { keepRunning } from "./KeepRunning.ts"
import { Metrics } from "./Metrics.ts"
import { OrderEvents } from "./OrderEvents.ts"
import { OrdersRepo } from "./OrdersRepo.ts"

/** Milliseconds after which the table is looked at even without a signal: one is lost with a commit that fails late. */
const lookAgain = 5000

/**
 * The orders that are due, for the workers to take: a bounded window onto the table, which is the truth. New orders,
 * those beyond the capacity, retries that came due and those found at the start all come this one way.
 */
export class OrderQueue extends Context.Tag("orders/OrderQueue")<
  OrderQueue,
  {
    /** The key of the next order due, which is handed out once until it is `settled`. Waits while there is none. */
    readonly take: Effect.Effect<RowKey>
    /** The claim of a taken key has been decided; should the order be Pending again, it may be handed out again. */
    readonly settled: (key: RowKey) => Effect.Effect<void>
    /** Whether the table could be read the last time. */
    readonly ready: Effect.Effect<boolean>
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      const events = yield* OrderEvents
      const metrics = yield* Metrics
      const { queueCapacity } = yield* AppConfig

      const queue = yield* Effect.acquireRelease(Queue.bounded<RowKey>(queueCapacity), Queue.shutdown)
      const wake = yield* Queue.sliding<void>(1)
      /** Handed out and not yet settled: what lies in the queue, and at most one for each worker. */
      const handedOut = new Set<RowKey>()
      /** The table may hold due orders that were not handed out. */
      let behind = true
      let ready = true

      // While workers wait, the size of an Effect queue is negative.
      const depth = () =>
        Math.max(
          0,
          Option.getOrElse(queue.unsafeSize(), () => 0)
        )
      const wakeIfLow = () => {
        if (behind && depth() <= queueCapacity / 2) wake.unsafeOffer(undefined)
      }
      yield* events.listen(({ changes }) => {
        if (changes.some((change) => change.status === "Pending")) {
          behind = true
          wakeIfLow()
        }
      })

      /** Fills the queue, and tells when to look again if nothing wakes the feeder before. */
      const fill = Effect.gen(function* () {
        behind = false
        const window = yield* repo.window(handedOut.size + queueCapacity - depth())
        ready = true
        behind ||= window.more
        for (const key of window.ready) {
          if (handedOut.has(key)) continue
          if (!queue.unsafeOffer(key)) {
            behind = true
            break
          }
          handedOut.add(key)
        }
        metrics.queueDepth(depth())
        return window.nextDueAt
      }).pipe(
        Effect.catchTag("StorageUnavailable", () => {
          ready = false
          behind = true
          return Effect.map(Clock.currentTimeMillis, (now) => Option.some(now + 1000))
        })
      )

      const waitForWork = (nextDueAt: Option.Option<number>) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const untilDue = Option.match(nextDueAt, { onNone: () => lookAgain, onSome: (dueAt) => dueAt - now })
          return Effect.timeoutOption(Queue.take(wake), Math.min(lookAgain, Math.max(0, untilDue)))
        })

      yield* keepRunning("feeder", Effect.forever(Effect.flatMap(fill, waitForWork)))

      return {
        take: Effect.map(Queue.take(queue), (key) => {
          metrics.queueDepth(depth())
          wakeIfLow()
          return key
        }),
        settled: (key) => Effect.sync(() => handedOut.delete(key)),
        ready: Effect.sync(() => ready)
      }
    })
  )
}
