import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Duration, Effect, Option } from "effect"
import { changeJson } from "../api/Change.ts"
import type { ChangeParameters, HistoryParameters } from "../api/Filters.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import type { Orders } from "../Orders.ts"
import type { OrderId } from "../order/Order.ts"
import type { OrderChange } from "../order/OrderChange.ts"
import { ChangeFeed } from "../store/ChangeFeed.ts"
import { NodeServer } from "./NodeServer.ts"

/** After so long a page goes out without a change, where few of very many fit. */
const patienceMillis = 1000

/** The answer of `GET /api/changes`: what is there, or what comes within `wait` seconds. */
export const makeChangePage = Effect.gen(function* () {
  const feed = yield* ChangeFeed
  const { draining } = yield* NodeServer
  const now = yield* monotonicMillis
  return Effect.fnUntraced(function* ({ after, limit, wait = 0, ...filter }: typeof ChangeParameters.Type) {
    const reader = feed.reader(filter, Option.some(after ?? 0))
    let missing = Option.none<number>()
    let changes: ReadonlyArray<OrderChange> = []

    const begun = now()
    const until = begun + wait * 1000
    while (true) {
      const step = yield* reader.read(limit)
      changes = step.changes
      // Whoever asks for all there is knows nothing that could be missing.
      if (after !== undefined) missing = Option.orElse(step.reset, () => missing)
      if (changes.length > 0 || (step.more && now() - begun > patienceMillis)) break
      if (step.more) continue
      const left = until - now()
      if (left <= 0) break
      const isOver = yield* reader.wait.pipe(
        Effect.as(false),
        Effect.raceFirst(Effect.as(draining, true)),
        Effect.timeoutTo({ duration: Duration.millis(left), onSuccess: (isOver) => isOver, onTimeout: () => true })
      )
      if (isOver) break
    }
    const reset = Option.match(missing, { onNone: () => ({}), onSome: (oldest) => ({ reset: { oldest } }) })
    // A thousand changes are not put through the schema one by one; a test compares them with it.
    return HttpServerResponse.unsafeJson({ changes: changes.map(changeJson), next: String(reader.place()), ...reset })
  })
})

/** The answer of `GET /api/order/{order_id}/history`. */
export const makeHistoryPage = (orders: Orders["Type"]) =>
  Effect.fnUntraced(function* (id: OrderId, { after = 0, limit }: typeof HistoryParameters.Type) {
    const { found, next } = yield* orders.history(id, after, limit)
    const more = Option.match(next, { onNone: () => ({}), onSome: (next) => ({ next: String(next) }) })
    return HttpServerResponse.unsafeJson({ changes: found.map(changeJson), ...more })
  })
