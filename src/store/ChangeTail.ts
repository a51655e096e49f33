import { type Context, Deferred, Effect, FiberId, Queue } from "effect"
import { keepRunning } from "../KeepRunning.ts"
import type { OrderChange } from "../order/OrderChange.ts"
import type { OrdersRepo } from "./OrdersRepo.ts"

/** After how many milliseconds the history is read again without a signal. */
const readAgain = 50
/** How many changes are read at once. */
const piece = 1000

/**
 * Reads the history as it grows, whichever node writes it. As the ids of changes are given out in the order of commit, what
 * is seen of it has no gaps.
 */
export const makeChangeTail = Effect.fnUntraced(function* (
  repo: Pick<Context.Tag.Service<OrdersRepo>, "changes" | "historyRange">,
  found: (changes: ReadonlyArray<OrderChange>) => Effect.Effect<void>
) {
  const wake = yield* Queue.sliding<void>(1)
  let place = (yield* Effect.orDie(repo.historyRange)).last
  let waiting: Array<Deferred.Deferred<void>> = []
  let isAway = false

  const read = Effect.gen(function* () {
    const asked = waiting
    waiting = []
    while (true) {
      const { found: changes, next } = yield* repo.changes({}, place, piece)
      const last = changes.at(-1)
      if (last !== undefined) {
        place = last.id
        yield* found(changes)
      }
      if (next._tag === "None") break
    }
    if (isAway) yield* Effect.logInfo("The history can be read again")
    isAway = false
    for (const deferred of asked) Deferred.unsafeDone(deferred, Effect.void)
  })

  const away = Effect.gen(function* () {
    if (!isAway) yield* Effect.logWarning("The history cannot be read: what other nodes do is not seen")
    isAway = true
    yield* Effect.sleep("1 second")
  })
  const follow = Effect.zipRight(
    Effect.catchAll(read, () => away),
    Effect.timeoutOption(Queue.take(wake), readAgain)
  )
  yield* keepRunning("tail of the history", Effect.forever(follow))

  return {
    wake: Effect.asVoid(Queue.offer(wake, undefined)),
    caughtUp: Effect.suspend(() => {
      const deferred = Deferred.unsafeMake<void>(FiberId.none)
      waiting.push(deferred)
      return Effect.zipRight(Queue.offer(wake, undefined), Effect.timeoutOption(Deferred.await(deferred), "1 second"))
    }).pipe(Effect.asVoid)
  }
})
