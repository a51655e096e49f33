import { Cause, Clock, Effect, Option, Queue } from "effect"
import { keepRunning } from "../KeepRunning.ts"
import { makeLogLimit } from "../LogLimit.ts"
import type { StorageUnavailable } from "../order/Order.ts"
import type { Lane } from "../store/Command.ts"
import { OrderEvents } from "../store/OrderEvents.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"
import { makeHandout } from "./Handout.ts"
import type { Ticket } from "./Ticket.ts"

/** Milliseconds after which the table is looked at even without a signal: one is lost with a commit that fails late. */
const lookAgain = 5000

/** A lane of the orders in the table: a queue, and the fiber that feeds it from there. */
export const makeWindowLane = Effect.fnUntraced(function* (
  lane: Lane,
  capacity: number,
  rebase: Effect.Effect<void, StorageUnavailable>,
  onDepth: (depth: number) => void
) {
  const repo = yield* OrdersRepo
  const events = yield* OrderEvents
  const limited = yield* makeLogLimit

  const wake = yield* Queue.sliding<void>(1)
  /** The table may hold due orders that were not handed out. */
  let behind = true
  let ready = true

  const wakeIfLow = (depth: number) => {
    if (behind && depth <= capacity / 2) wake.unsafeOffer(undefined)
  }
  const { depth, held, offer, take } = yield* makeHandout<Ticket>(capacity, (left) => {
    onDepth(left)
    wakeIfLow(left)
  })
  yield* events.listen(({ changes }) => {
    if (changes.some((change) => change.to === "Pending")) {
      behind = true
      wakeIfLow(depth())
    }
  })

  /** Fills the queue. Answers when to look again if nothing wakes the feeder before. */
  const fill = Effect.gen(function* () {
    behind = false
    yield* rebase
    const window = yield* repo.window(lane, held.size + capacity - depth())
    ready = true
    behind ||= window.more
    for (const key of window.ready) {
      if (held.has(key)) continue
      if (!offer({ key, job: Option.none() })) {
        behind = true
        break
      }
    }
    onDepth(depth())
    return window.nextDueAt
  })

  const unreadable = Effect.fnUntraced(function* (cause: Cause.Cause<StorageUnavailable>) {
    ready = false
    behind = true
    if (Cause.isDie(cause)) yield* limited("read", Effect.logError("Orders cannot be read", cause))
    return Option.some((yield* Clock.currentTimeMillis) + 1000)
  })

  const feed = Effect.gen(function* () {
    const nextDueAt = yield* Effect.catchAllCause(fill, unreadable)
    const now = yield* Clock.currentTimeMillis
    const untilDue = Option.match(nextDueAt, { onNone: () => lookAgain, onSome: (dueAt) => dueAt - now })
    yield* Effect.timeoutOption(Queue.take(wake), Math.min(lookAgain, Math.max(0, untilDue)))
  })
  yield* keepRunning(`feeder of the ${lane} lane`, Effect.forever(feed))

  // What was handed out is found in the table by the next start.
  return { take, letGo: () => {}, close: Effect.void, isReady: () => ready }
})
