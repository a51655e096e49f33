import { Effect, Option, Queue } from "effect"
import type { RowKey } from "../order/OrderChange.ts"

/**
 * A bounded queue of what is handed out to workers: each order once at a time. `onTake` gets what is left when one was taken,
 * and `onUsed` what a worker has taken and is done with.
 */
export const makeHandout = <T extends { readonly key: RowKey }>(
  capacity: number,
  onTake: (depth: number) => void,
  onUsed: (used: T) => void = () => {}
) =>
  Effect.gen(function* () {
    const queue = yield* Effect.acquireRelease(Queue.bounded<T>(capacity), Queue.shutdown)
    /** Handed out and not yet decided: what lies in the queue, and at most one for each worker. */
    const held = new Map<RowKey, T>()
    // While workers wait, the size of an Effect queue is negative.
    const depth = () =>
      Math.max(
        0,
        Option.getOrElse(queue.unsafeSize(), () => 0)
      )
    return {
      held,
      depth,
      /** Whether there was room for it. */
      offer: (given: T) => {
        held.set(given.key, given)
        if (queue.unsafeOffer(given)) return true
        held.delete(given.key)
        return false
      },
      take: <A, E, R>(use: (taken: T) => Effect.Effect<A, E, R>) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(Effect.interruptible(Queue.take(queue)), (taken) => {
            onTake(depth())
            return Effect.flatMap(Effect.exit(restore(Effect.suspend(() => use(taken)))), (exit) => {
              // The order may have been handed out anew since, for another of its waits.
              if (held.get(taken.key) === taken) held.delete(taken.key)
              onUsed(taken)
              return exit
            })
          })
        ),
      /** Takes back all that no worker has taken. */
      takeBack: Effect.map(Queue.takeAll(queue), (waiting) => {
        for (const { key } of waiting) held.delete(key)
        return Array.from(waiting)
      })
    }
  })
