import { Context, Effect, Layer, Option } from "effect"
import { nextTurn } from "../NextTurn.ts"
import type { StorageUnavailable } from "../order/Order.ts"
import { type ChangeFilter, changeFits, type OrderChange } from "../order/OrderChange.ts"
import { OrderEvents } from "./OrderEvents.ts"
import { OrdersRepo } from "./OrdersRepo.ts"
import { makeRecentChanges } from "./RecentChanges.ts"

/** What comes next in the feed. */
export interface FeedStep {
  readonly changes: ReadonlyArray<OrderChange>
  /** More may be there already. */
  readonly more: boolean
  /** Some changes that would have come next are not kept any more: the id from which on all are. It goes on from there. */
  readonly reset: Option.Option<number>
}

/** Reads the changes that fit, from its place on. One fiber at a time may use it. */
export interface FeedReader {
  /** The id of the change up to which it has looked. */
  readonly place: () => number
  /** The next changes, at most `limit` of the next thousand. Waits for none. */
  readonly read: (limit: number) => Effect.Effect<FeedStep, StorageUnavailable>
  /** Done when there is a change that fits. To be used when there was no more. */
  readonly wait: Effect.Effect<void>
}

/** At how many changes one step looks. */
const look = 1000

/**
 * Every committed change in the order of commit, from any place that is kept. Nothing is kept for a reader but its place,
 * so that a slow one costs no memory: the last changes are at hand for all, and those before are read from the history.
 */
export class ChangeFeed extends Context.Tag("orders/ChangeFeed")<
  ChangeFeed,
  {
    /** A reader behind the change of that id, 0 for all that are kept; none for those from now on. */
    readonly reader: (filter: ChangeFilter, after: Option.Option<number>) => FeedReader
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const events = yield* OrderEvents
      const repo = yield* OrdersRepo
      const { last } = yield* repo.historyRange
      const recent = makeRecentChanges(last)
      const waiting = new Set<{
        readonly filter: ChangeFilter
        readonly passed: (id: number) => void
        readonly found: () => void
      }>()
      yield* events.follow((changes) => {
        // A commit whose answer was lost was not published: its changes are in the history alone.
        const isGap = changes[0]?.id !== recent.end() + 1
        recent.add(changes)
        for (const waiter of waiting) {
          if (!isGap && !changes.some((change) => changeFits(waiter.filter, change))) waiter.passed(recent.end())
          else {
            waiting.delete(waiter)
            waiter.found()
          }
        }
      })

      const reader = (filter: ChangeFilter, after: Option.Option<number>): FeedReader => {
        let place = Option.getOrElse(after, recent.end)
        /** What any node answered before the reader came is to be seen by it. */
        let isNew = true

        const readRecent = (limit: number): FeedStep => {
          const found: Array<OrderChange> = []
          for (const change of recent.behind(place, look)) {
            if (found.length === limit) break
            place = change.id
            if (changeFits(filter, change)) found.push(change)
          }
          return { changes: found, more: place < recent.end(), reset: Option.none() }
        }

        const readKept = Effect.fnUntraced(function* (limit: number) {
          const end = recent.end()
          const { found, next } = yield* repo.changes(filter, place, limit, look)
          // Looked at last, for changes may have been removed meanwhile.
          const kept = yield* repo.historyRange
          yield* nextTurn
          if (place + 1 < kept.from || place > kept.last) {
            // Where several nodes keep none, the last change may not have come here yet.
            place = Math.min(kept.from - 1, recent.end())
            return { changes: [], more: true, reset: Option.some(place + 1) }
          }
          place = Option.getOrElse(next, () => Math.max(place, end, found.at(-1)?.id ?? 0))
          return { changes: found, more: Option.isSome(next) || place < recent.end(), reset: Option.none() }
        })

        return {
          place: () => place,
          read: (limit) =>
            Effect.zipRight(
              Effect.suspend(() => {
                const isBehind = isNew || place === recent.end()
                isNew = false
                return isBehind ? events.caughtUp : Effect.void
              }),
              Effect.suspend(() => (recent.reaches(place) ? Effect.sync(() => readRecent(limit)) : readKept(limit)))
            ),
          wait: Effect.async<void>((resume) => {
            if (place < recent.end()) return resume(Effect.void)
            const waiter = {
              filter,
              passed: (id: number) => {
                place = id
              },
              found: () => resume(Effect.void)
            }
            waiting.add(waiter)
            return Effect.sync(() => waiting.delete(waiter))
          })
        }
      }

      return { reader }
    })
  )
}
