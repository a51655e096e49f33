import { isDeepStrictEqual } from "node:util"
import { Context, Effect, Layer, Option, Struct } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { Command } from "./Command.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { Metrics } from "./Metrics.ts"
import {
  BacklogFull,
  type NewOrder,
  type Order,
  OrderConflict,
  type OrderId,
  OrderNotFound,
  type StorageUnavailable
} from "./Order.ts"
import { OrdersRepo } from "./OrdersRepo.ts"

/** `replay` is none when the order is new; otherwise the order as it was accepted before and stands now. */
export interface Acceptance {
  readonly order_id: OrderId
  readonly replay: Option.Option<Order>
}

/** What can be asked of orders. */
export class Orders extends Context.Tag("orders/Orders")<
  Orders,
  {
    /**
     * Succeeds after the commit. The same order again stores nothing new and succeeds, even when the backlog is full;
     * other content under a known id is an `OrderConflict`.
     */
    readonly accept: (order: NewOrder) => Effect.Effect<Acceptance, OrderConflict | BacklogFull | StorageUnavailable>
    readonly find: (id: OrderId) => Effect.Effect<Order, OrderNotFound | StorageUnavailable>
  }
>() {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const commits = yield* GroupCommit
      const repo = yield* OrdersRepo
      const metrics = yield* Metrics
      const { maxPending } = yield* AppConfig

      const backlogFull = Effect.flatMap(
        metrics.drainRate,
        (rate) => new BacklogFull({ retry_after: untilRoom(maxPending, rate) })
      )

      return {
        accept: Effect.fn("Orders.accept")(function* (order) {
          const { order_id } = order
          const result = yield* commits.write(Command.Insert({ order }))
          switch (result._tag) {
            case "Inserted":
              return { order_id, replay: Option.none() }
            case "Known": {
              const fields = differences(result.order, order)
              if (fields.length > 0) {
                metrics.refused("conflict")
                return yield* new OrderConflict({ order_id, fields })
              }
              metrics.replayed()
              return { order_id, replay: Option.some(result.order) }
            }
            case "Full":
              metrics.refused("backlog_full")
              return yield* backlogFull
            default:
              return yield* Effect.dieMessage(`An Insert cannot be answered with ${result._tag}`)
          }
        }),

        find: Effect.fn("Orders.find")(function* (id) {
          const order = yield* repo.find(id)
          return yield* Option.match(order, { onNone: () => new OrderNotFound(), onSome: Effect.succeed })
        })
      }
    })
  )
}

/** Seconds until a tenth of the backlog has been worked off, from 1 to 300; 10 while nothing tells how fast that is. */
const untilRoom = (maxPending: number, perSecond: number) =>
  perSecond === 0 ? 10 : Math.min(300, Math.max(1, Math.ceil(maxPending / 10 / perSecond)))

/** As JSON would bring it back, so that what is compared is what is stored: `-0` is 0, and key order does not matter. */
const stored = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const content = ({ currency, item_ids, metadata, total_amount, user_id }: Order | NewOrder) => ({
  user_id,
  item_ids,
  total_amount,
  currency: Option.getOrNull(currency),
  metadata: stored(Option.getOrNull(metadata))
})

/** The fields in which a submitted order differs from the stored one of the same id. */
const differences = (known: Order, sent: NewOrder): ReadonlyArray<string> => {
  const [before, now] = [content(known), content(sent)]
  return Struct.keys(before).filter((field) => !isDeepStrictEqual(before[field], now[field]))
}
