import { Array as Arr, Context, Deferred, type Duration, Effect, Either, FiberId, Layer, Option } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { Command, type Filter, type Result, type RowKey } from "./Command.ts"
import { differences, fingerprint } from "./Content.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { Metrics } from "./Metrics.ts"
import {
  BacklogFull,
  isFinal,
  type NewOrder,
  type Order,
  OrderConflict,
  OrderGone,
  type OrderId,
  OrderNotFound,
  OrderStatusConflict,
  type Status,
  type StorageUnavailable,
  transitions
} from "./Order.ts"
import { OrderEvents } from "./OrderEvents.ts"
import { type Failures, OrdersRepo } from "./OrdersRepo.ts"

/** `replay` is none when the order is new; otherwise the status in which the order accepted before is now. */
export interface Acceptance {
  readonly order_id: OrderId
  readonly replay: Option.Option<Status>
}

/** What can be asked of orders. */
export class Orders extends Context.Tag("orders/Orders")<
  Orders,
  {
    /**
     * Succeeds after the commit. The same order again stores nothing new and succeeds, even when the backlog is full;
     * other content under a known id is an `OrderConflict`. `traceparent` is kept with a new order.
     */
    readonly accept: (
      order: NewOrder,
      traceparent?: Option.Option<string>
    ) => Effect.Effect<Acceptance, OrderConflict | BacklogFull | StorageUnavailable>
    /**
     * The same for many, in batches: what became of each, in their order. One that is refused costs the others nothing.
     * After `StorageUnavailable` some may have been stored, and the call can be repeated.
     */
    readonly acceptMany: (
      orders: ReadonlyArray<NewOrder>,
      traceparent?: Option.Option<string>
    ) => Effect.Effect<ReadonlyArray<Either.Either<Acceptance, OrderConflict | BacklogFull>>, StorageUnavailable>
    /** The order as soon as it is in a final state, or as it is after that time, or when `unless` ends first. */
    readonly findFinal: (
      id: OrderId,
      wait: Duration.DurationInput,
      unless: Effect.Effect<void>
    ) => Effect.Effect<Order, OrderNotFound | OrderGone | StorageUnavailable>
    /**
     * Pending or Processing becomes Cancelled; then the attempt that may be running is interrupted. An order cancelled
     * before is answered as it is.
     */
    readonly cancel: (
      id: OrderId
    ) => Effect.Effect<Order, OrderNotFound | OrderGone | OrderStatusConflict | StorageUnavailable>
    /** Failed or Cancelled becomes Pending, with a fresh set of attempts and the next idempotency key. */
    readonly retry: (
      id: OrderId
    ) => Effect.Effect<Order, OrderNotFound | OrderGone | OrderStatusConflict | StorageUnavailable>
    /** The same for all that fit, each once, in batches of 500: the number of orders retried. */
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
    readonly find: (id: OrderId) => Effect.Effect<Order, OrderNotFound | OrderGone | StorageUnavailable>
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const commits = yield* GroupCommit
      const events = yield* OrderEvents
      const repo = yield* OrdersRepo
      const metrics = yield* Metrics
      const { maxPending } = yield* AppConfig

      const acceptance = (order: NewOrder, result: Result): Either.Either<Acceptance, OrderConflict | BacklogFull> => {
        const { order_id } = order
        switch (result._tag) {
          case "Inserted":
            return Either.right({ order_id, replay: Option.none() })
          case "Known": {
            const fields = differences(result.order, order)
            if (fields.length > 0) {
              metrics.refused("OrderConflict")
              return Either.left(new OrderConflict({ order_id, fields }))
            }
            metrics.replayed()
            return Either.right({ order_id, replay: Option.some(result.order.status) })
          }
          case "Gone": {
            if (fingerprint(order) !== result.record.fingerprint) {
              metrics.refused("OrderConflict")
              return Either.left(new OrderConflict({ order_id, fields: [] }))
            }
            metrics.replayed()
            return Either.right({ order_id, replay: Option.some(result.record.status) })
          }
          case "Full":
            metrics.refused("BacklogFull")
            return Either.left(new BacklogFull({ retry_after: untilRoom(maxPending, metrics.drainRate()) }))
          default:
            throw new Error(`An Insert cannot be answered with ${result._tag}`)
        }
      }

      const missing = Effect.fnUntraced(function* (id: OrderId) {
        const record = yield* repo.findPruned(id)
        if (Option.isNone(record)) return yield* new OrderNotFound()
        const { finished_at, status } = record.value
        return yield* new OrderGone({ order_id: id, order_status: status, finished_at })
      })

      const find = Effect.fnUntraced(function* (id: OrderId) {
        const order = yield* repo.find(id)
        return Option.isSome(order) ? order.value : yield* missing(id)
      })

      /** Who waits for which order to reach a final state. */
      const waiters = new Set<{ readonly order_id: OrderId; readonly final: Deferred.Deferred<void> }>()
      yield* events.listen(({ changes }) => {
        if (waiters.size === 0) return
        const final = new Set(changes.filter(({ status }) => isFinal(status)).map(({ order_id }) => order_id))
        for (const waiter of waiters) {
          if (final.has(waiter.order_id)) Deferred.unsafeDone(waiter.final, Effect.void)
        }
      })

      /** Does it, unless the order is in none of the statuses it starts from; being where it leads to is fine too. */
      const act = Effect.fn("Orders.act")(function* (
        id: OrderId,
        command: Command,
        possible: ReadonlyArray<Status>,
        already?: Status
      ) {
        const result = yield* commits.write(command)
        if (result._tag !== "Acted") return yield* missing(id)
        const { changed, order } = result
        if (changed || order.status === already) return order
        return yield* new OrderStatusConflict({ order_id: id, order_status: order.status, possible })
      })

      return {
        accept: (order, traceparent = Option.none()) =>
          Effect.flatMap(commits.write(Command.Insert({ order, traceparent })), (result) => acceptance(order, result)),

        acceptMany: Effect.fn("Orders.acceptMany")(function* (orders, traceparent = Option.none()) {
          const results = yield* commits.writeAll(orders.map((order) => Command.Insert({ order, traceparent })))
          return Arr.zipWith(orders, results, acceptance)
        }),

        findFinal: Effect.fn("Orders.findFinal")(function* (id, wait, unless) {
          // Listening before looking: what happens in between is not missed.
          const final = yield* Effect.acquireRelease(
            Effect.sync(() => {
              const waiting = { order_id: id, final: Deferred.unsafeMake<void>(FiberId.none) }
              waiters.add(waiting)
              return waiting
            }),
            (waiting) => Effect.sync(() => waiters.delete(waiting))
          )
          const order = yield* find(id)
          if (isFinal(order.status)) return order
          yield* Deferred.await(final.final).pipe(Effect.raceFirst(unless), Effect.timeoutOption(wait))
          return yield* find(id)
        }, Effect.scoped),

        cancel: (id) => act(id, Command.Cancel({ order_id: id }), transitions.cancel.from, transitions.cancel.to),

        retry: (id) => act(id, Command.Reopen({ order_id: id }), transitions.reopen.from),

        retryMany: Effect.fn("Orders.retryMany")(function* (filter) {
          // By keys, not by times: each order once, whatever becomes of it meanwhile and whenever it was finished.
          const [newest] = yield* repo.list({}, Option.none(), 1)
          const until = newest?.key ?? 0
          let count = 0
          let after: RowKey = 0
          while (true) {
            const result = yield* commits.write(Command.ReopenMany({ filter, after, until, limit: batch }))
            if (result._tag !== "Reopened") return count
            count += result.count
            if (Option.isNone(result.last)) return count
            after = result.last.value
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

        find
      }
    })
  )
}

/** How many orders one transaction retries. */
const batch = 500

/** Seconds until a tenth of the backlog has been worked off, from 1 to 300; 10 while nothing tells how fast that is. */
const untilRoom = (maxPending: number, perSecond: number) =>
  perSecond === 0 ? 10 : Math.min(300, Math.max(1, Math.ceil(maxPending / 10 / perSecond)))
