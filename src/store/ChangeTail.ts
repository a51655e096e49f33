import { Array as Arr, type Context, Deferred, Effect, FiberId, Queue } from "effect"
import { keepRunning } from "../KeepRunning.ts"
import type { OrderChange } from "../order/OrderChange.ts"
import type { Commit } from "./Command.ts"
import type { Nodes, OrdersRepo } from "./OrdersRepo.ts"

/** After how many milliseconds it is looked for changes again without a signal. */
const readAgain = 50
/** How many changes are read at once. */
const piece = 1000

/**
 * Reads the history as it grows, whichever node writes it. As the ids of changes are given out in the order of commit, what
 * is seen of it has no gaps. What this node committed is read only if others committed something before it.
 */
export const makeChangeTail = Effect.fnUntraced(function* (
  fault: Context.Tag.Service<OrdersRepo>["fault"],
  nodes: Pick<Nodes, "changes" | "lastChange">,
  found: (changes: ReadonlyArray<OrderChange>) => Effect.Effect<void>
) {
  const wake = yield* Queue.sliding<void>(1)
  let place = yield* Effect.orDie(nodes.lastChange)
  let waiting: Array<Deferred.Deferred<void>> = []
  let isAway = false

  /** What this node has committed beyond that place, in the order of its commits. */
  let own: ReadonlyArray<Commit["changes"]> = []

  const seen = (changes: ReadonlyArray<OrderChange>, last: number) => {
    place = last
    own = own.filter((changes) => Arr.lastNonEmpty(changes).id > place)
    return found(changes)
  }

  const readHistory = Effect.gen(function* () {
    while (true) {
      const { found: changes, next } = yield* nodes.changes(place, piece)
      const last = changes.at(-1)
      if (last !== undefined) yield* seen(changes, last.id)
      if (next._tag === "None") return
    }
  })

  /** After it, what was seen here and what is in the database are two histories. */
  const setBack = Effect.whenEffect(
    Effect.logError(
      "No order is taken until a restart: the database is not as its nodes left it. An older state of it was put in its " +
        "place, as by a standby that lacked the last changes. Start all nodes again."
    ),
    Deferred.succeed(fault, "the database is not as its nodes left it")
  )

  const read = Effect.gen(function* () {
    const asked = waiting
    waiting = []
    let next = own[0]
    while (next !== undefined && next[0].id === place + 1) {
      yield* seen(next, Arr.lastNonEmpty(next).id)
      next = own[0]
    }
    const last = yield* nodes.lastChange
    if (last < place) yield* setBack
    if (next !== undefined || last > place) yield* readHistory
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
    Queue.take(wake),
    Effect.catchAll(read, () => away)
  )
  yield* keepRunning("tail of the history", Effect.forever(follow))
  yield* keepRunning(
    "clock of the tail",
    Effect.forever(Effect.zipRight(Effect.sleep(readAgain), Queue.offer(wake, undefined)))
  )

  return {
    /** To be called with each commit of this node. */
    committed: ({ changes }: Commit) =>
      Effect.suspend(() => {
        own = [...own, changes]
        return Queue.offer(wake, undefined)
      }),
    caughtUp: Effect.suspend(() => {
      const deferred = Deferred.unsafeMake<void>(FiberId.none)
      waiting.push(deferred)
      return Effect.zipRight(Queue.offer(wake, undefined), Effect.timeoutOption(Deferred.await(deferred), "1 second"))
    }).pipe(Effect.asVoid)
  }
})
