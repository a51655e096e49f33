import { isDeepStrictEqual } from "node:util"
import { Array as Arr, Context, DateTime, Effect, Layer, Option, Struct } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { Command, type Filter, type RowKey } from "./Command.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { Metrics } from "./Metrics.ts"
import {
  BacklogFull,
  type NewOrder,
  type Order,
  OrderConflict,
  type OrderId,
  OrderNotFound,
  OrderStatusConflict,
  type Status,
  type StorageUnavailable,
  transitions
} from "./Order.ts"
import { type Failures, OrdersRepo } from "./OrdersRepo.ts"

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
    /**
     * Pending or Processing becomes Cancelled; then the attempt that may be running is interrupted. An order cancelled
     * before is answered as it is.
     */
    readonly cancel: (id: OrderId) => Effect.Effect<Order, OrderNotFound | OrderStatusConflict | StorageUnavailable>
    /** Failed or Cancelled becomes Pending, with a fresh set of attempts. */
    readonly retry: (id: OrderId) => Effect.Effect<Order, OrderNotFound | OrderStatusConflict | StorageUnavailable>
    /** The same for all that fit and are final now, in batches of 500: the number of orders retried. */
    readonly retryMany: (filter: Filter) => Effect.Effect<number, StorageUnavailable>
    /** A page, newest first, and the key to go on before; none on the last page. */
    readonly list: (
      filter: Filter,
      before: Option.Option<RowKey>,
      limit: number
    ) => Effect.Effect<
      { readonly orders: ReadonlyArray<Order>; readonly next: Option.Option<RowKey> },
      StorageUnavailable
    >
    readonly failures: Effect.Effect<ReadonlyArray<Failures>, StorageUnavailable>
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

      /** Does it, unless the order is in none of the statuses it starts from; being where it leads to is fine too. */
      const act = Effect.fn("Orders.act")(function* (
        id: OrderId,
        command: Command,
        possible: ReadonlyArray<Status>,
        already?: Status
      ) {
        const result = yield* commits.write(command)
        if (result._tag !== "Acted") return yield* new OrderNotFound()
        const { changed, order } = result
        if (changed || order.status === already) return order
        return yield* new OrderStatusConflict({ order_id: id, order_status: order.status, possible })
      })

      return {
        accept: Effect.fnUntraced(function* (order) {
          const { order_id } = order
          const result = yield* commits.write(Command.Insert({ order }))
          switch (result._tag) {
            case "Inserted":
              return { order_id, replay: Option.none() }
            case "Known": {
              const fields = differences(result.order, order)
              if (fields.length > 0) {
                metrics.refused("OrderConflict")
                return yield* new OrderConflict({ order_id, fields })
              }
              metrics.replayed()
              return { order_id, replay: Option.some(result.order) }
            }
            case "Full":
              metrics.refused("BacklogFull")
              return yield* backlogFull
            default:
              return yield* Effect.dieMessage(`An Insert cannot be answered with ${result._tag}`)
          }
        }),

        cancel: (id) => act(id, Command.Cancel({ order_id: id }), transitions.cancel.from, transitions.cancel.to),

        retry: (id) => act(id, Command.Reopen({ order_id: id }), transitions.reopen.from),

        retryMany: Effect.fn("Orders.retryMany")(function* (filter) {
          const finishedBy = yield* DateTime.now
          let count = 0
          while (true) {
            const result = yield* commits.write(Command.ReopenMany({ filter, finishedBy, limit: batch }))
            const reopened = result._tag === "Reopened" ? result.count : 0
            count += reopened
            if (reopened < batch) return count
          }
        }),

        list: Effect.fn("Orders.list")(function* (filter, before, limit) {
          const found = yield* repo.list(filter, before, limit + 1)
          const page = found.slice(0, limit)
          return {
            orders: page.map(({ order }) => order),
            next: found.length > limit ? Option.map(Arr.last(page), ({ key }) => key) : Option.none()
          }
        }),

        failures: repo.failures,

        find: Effect.fnUntraced(function* (id) {
          const order = yield* repo.find(id)
          return yield* Option.match(order, { onNone: () => new OrderNotFound(), onSome: Effect.succeed })
        })
      }
    })
  )
}

/** How many orders one transaction retries. */
const batch = 500

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
