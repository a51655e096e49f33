import { Cause, Clock, Context, Effect, Layer, Option, Queue } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { keepRunning } from "../KeepRunning.ts"
import { makeLogLimit } from "../LogLimit.ts"
import { clockJump } from "../MonotonicClock.ts"
import { Metrics } from "../observe/Metrics.ts"
import type { StorageUnavailable } from "../order/Order.ts"
import type { RowKey } from "../order/OrderChange.ts"
import { Command, type Lane } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { OrderEvents } from "../store/OrderEvents.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"

/** Milliseconds after which the table is looked at even without a signal: one is lost with a commit that fails late. */
const lookAgain = 5000

/**
 * The orders that are due, for the workers to take: a bounded window onto the table, which is the truth. New orders,
 * those beyond the capacity, retries that came due and those found at the start all come this one way.
 */
export class OrderQueue extends Context.Tag("orders/OrderQueue")<
  OrderQueue,
  {
    /**
     * The key of the lane's next order due. Waits for one, and can be interrupted meanwhile. The key is handed out once
     * until `use` ends, however it ends, by when the claim must have been decided; should the order be Pending then, it
     * is handed out again.
     */
    readonly take: <A, E, R>(lane: Lane, use: (key: RowKey) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    /** Whether the table could be read the last time. */
    readonly ready: Effect.Effect<boolean>
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const metrics = yield* Metrics
      const { queueCapacity } = yield* AppConfig
      const rebase = yield* makeRebase
      const lanes = {
        open: yield* makeLane("open", queueCapacity, rebase, metrics.queueDepth),
        suspect: yield* makeLane("suspect", suspectCapacity, rebase, () => {})
      }
      return {
        take: (lane, use) => lanes[lane].take(use),
        ready: Effect.sync(() => lanes.open.isReady() && lanes.suspect.isReady())
      }
    })
  )
}

/** Suspects run one at a time, so there is no use in holding many. */
const suspectCapacity = 2

/** How many orders one transaction moves: it takes some 10 ms. */
const piece = 1000

/** Orders behind one key and up to another, that are to be moved by so many milliseconds. */
interface Move {
  readonly by: number
  readonly after: number
  readonly until: number
}

/** What is to be moved when the clock was set once more: what was moved already, what was not yet, and what came since. */
const movedOn = (moves: ReadonlyArray<Move>, by: number, newest: number): ReadonlyArray<Move> =>
  [
    { by, after: 0, until: moves[0]?.after ?? 0 },
    ...moves.map((move) => ({ ...move, by: move.by + by })),
    { by, after: moves.at(-1)?.until ?? 0, until: newest }
  ].filter(({ after, until }) => after < until)

/**
 * To be done before the clock decides which orders are due: at the start, and when the clock was set, the line follows it.
 * So what was accepted or postponed under a clock that was ahead does not wait until that time comes, and the wait for
 * the next attempt is neither cut short nor made longer.
 *
 * A long line moves piece by piece, by key and so each order once, with other writes between the pieces. Until all have
 * moved, none is handed out, so none is early. One that is postponed meanwhile may wait longer by as long as that takes.
 * If the process ends meanwhile, the next start finds those that would wait too long.
 */
const makeRebase = Effect.gen(function* () {
  const commits = yield* GroupCommit
  const repo = yield* OrdersRepo
  const jumped = yield* clockJump
  const oneAtATime = yield* Effect.makeSemaphore(1)
  /** By how much the clock was set, if it is not among the moves yet. */
  let owed = Option.some(0)
  let moves: ReadonlyArray<Move> = []
  /** Orders that wait anew because of a start under a clock that had been ahead. */
  let anew = 0

  return Effect.gen(function* () {
    while (true) {
      const by = jumped()
      if (by !== 0) {
        owed = Option.some(Option.getOrElse(owed, () => 0) + by)
        const seconds = Math.round(Math.abs(by) / 1000)
        yield* Effect.logWarning(
          `The clock was set ${by > 0 ? "ahead" : "back"} by ${seconds} s; waits go on as before`
        )
      }
      if (Option.isSome(owed)) {
        const newest = yield* repo.list({}, Option.none(), 1)
        moves = movedOn(moves, owed.value, newest.found[0]?.key ?? 0)
        owed = Option.none()
      }
      const [move, ...others] = moves
      if (move === undefined) break
      const result = yield* commits.settle(Command.Rebase({ ...move, limit: piece }))
      moves = Option.match(result.next, { onNone: () => others, onSome: (after) => [{ ...move, after }, ...others] })
      if (move.by === 0) anew += result.count
    }
    if (anew > 0) {
      yield* Effect.logWarning(
        `${anew} orders were to wait longer than they should: the clock was ahead of what it is now. They wait anew`
      )
    }
    anew = 0
  }).pipe(oneAtATime.withPermits(1))
})

/** A queue, and the fiber that feeds it. */
const makeLane = Effect.fnUntraced(function* (
  lane: Lane,
  capacity: number,
  rebase: Effect.Effect<void, StorageUnavailable>,
  onDepth: (depth: number) => void
) {
  const repo = yield* OrdersRepo
  const events = yield* OrderEvents
  const limited = yield* makeLogLimit

  const queue = yield* Effect.acquireRelease(Queue.bounded<RowKey>(capacity), Queue.shutdown)
  const wake = yield* Queue.sliding<void>(1)
  /** Handed out and not yet decided: what lies in the queue, and at most one for each worker. */
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
    if (behind && depth() <= capacity / 2) wake.unsafeOffer(undefined)
  }
  yield* events.listen(({ changes }) => {
    if (changes.some((change) => change.to === "Pending")) {
      behind = true
      wakeIfLow()
    }
  })

  /** Fills the queue. Answers when to look again if nothing wakes the feeder before. */
  const fill = Effect.gen(function* () {
    behind = false
    yield* rebase
    const window = yield* repo.window(lane, handedOut.size + capacity - depth())
    ready = true
    behind ||= window.more
    for (const key of window.ready) {
      if (handedOut.has(key)) continue
      handedOut.add(key)
      if (!queue.unsafeOffer(key)) {
        handedOut.delete(key)
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

  return {
    take: <A, E, R>(use: (key: RowKey) => Effect.Effect<A, E, R>) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.interruptible(Queue.take(queue)), (key) => {
          onDepth(depth())
          wakeIfLow()
          return Effect.flatMap(Effect.exit(restore(Effect.suspend(() => use(key)))), (exit) => {
            handedOut.delete(key)
            return exit
          })
        })
      ),
    isReady: () => ready
  }
})
