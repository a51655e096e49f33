import { Effect, Random, Schema } from "effect"
import { NewOrder } from "../order/Order.ts"

export interface CrowdOptions {
  /** Begins every id, so that no two runs share one. */
  readonly run: string
  readonly orders: number
  readonly users: number
  readonly seed: number
}

const decode = Schema.decodeUnknown(NewOrder)

const currencies = ["EUR", "USD", "GBP", null]
const channels = ["web", "app", "phone"]
/** Few things are in most baskets. */
const catalogue = 500

const userOf = (run: string, index: number) => `${run}-user-${index + 1}`

/** What a crowd of shoppers orders: the same for the same seed, but for the ids. */
export const ordersOf = ({ orders, run, seed, users }: CrowdOptions) => {
  const random = Random.make(seed)
  const pick = <A>(values: ReadonlyArray<A>) => Effect.map(random.nextIntBetween(0, values.length), (i) => values[i])
  const item = Effect.map(random.next, (share) => 1 + Math.floor(share * share * catalogue))
  const digits = String(orders).length
  return Effect.forEach(
    Array.from({ length: orders }, (_, index) => index),
    Effect.fnUntraced(function* (index) {
      const size = yield* random.nextIntBetween(1, 6)
      return yield* Effect.orDie(
        decode({
          order_id: `${run}-${String(index + 1).padStart(digits, "0")}`,
          user_id: userOf(run, index % users),
          item_ids: yield* Effect.replicateEffect(item, size),
          total_amount: ((yield* random.nextIntBetween(100, 500_00)) / 100).toFixed(2),
          currency: yield* pick(currencies),
          metadata: { channel: yield* pick(channels), basket: yield* random.nextIntBetween(1, 1_000_000) }
        })
      )
    })
  )
}
