import { Array as Arr, Context, Deferred, type Duration, Effect, Either, FiberId, Layer, Option } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { monotonicMillis } from "./MonotonicClock.ts"
import { inTurn } from "./NextTurn.ts"
import { Metrics } from "./observe/Metrics.ts"
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
} from "./order/Order.ts"
import type { OrderChange } from "./order/OrderChange.ts"
import { differences, fingerprint } from "./order/OrderContent.ts"
import { makePace, makeSizing } from "./Pace.ts"
import { type Answer, Command, type CommandOf, type Filter, type SearchStep } from "./store/Command.ts"
import { GroupCommit } from "./store/GroupCommit.ts"
import { OrderEvents } from "./store/OrderEvents.ts"
import { type AllFailures, OrdersRepo } from "./store/OrdersRepo.ts"

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
     * before is answered as it is. `by` is the name of the key with which it is asked for, for the history.
     */
    readonly cancel: (
      id: OrderId,
      by?: Option.Option<string>
    ) => Effect.Effect<Order, OrderNotFound | OrderGone | OrderStatusConflict | StorageUnavailable>
    /** Failed or Cancelled becomes Pending, with a fresh set of attempts and the next idempotency key. */
    readonly retry: (
      id: OrderId,
      by?: Option.Option<string>
    ) => Effect.Effect<Order, OrderNotFound | OrderGone | OrderStatusConflict | StorageUnavailable>
    /** The same, in batches, for all that fit and were accepted before the call, each once: how many were retried. */
    readonly retryMany: (filter: Filter, by?: Option.Option<string>) => Effect.Effect<number, StorageUnavailable>
    /**
     * Hands out a page, newest first, until `take` takes no more: the key to go on before; none on the last page. Where
     * orders that fit are rare among those that are looked at, a page ends after a second, with what was found, be it
     * none.
     */
    readonly list: (
      filter: Filter,
      before: Option.Option<number>,
      limit: number,
      take: (order: Order) => Effect.Effect<boolean>
    ) => Effect.Effect<Option.Option<number>, StorageUnavailable>
    readonly failures: Effect.Effect<AllFailures, StorageUnavailable>
    /** The changes of an order behind that id, oldest first, and the id behind which to go on; none if there are no more. */
    readonly history: (
      id: OrderId,
      after: number,
      limit: number
    ) => Effect.Effect<SearchStep<OrderChange>, OrderNotFound | OrderGone | StorageUnavailable>
    readonly find: (id: OrderId) => Effect.Effect<Order, OrderNotFound | OrderGone | StorageUnavailable>
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const commits = yield* GroupCommit
      const repo = yield* OrdersRepo
      const acceptance = yield* makeAcceptance
      const whenFinal = yield* makeWhenFinal

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

      /** Does it, unless the order is in none of the statuses it starts from; being where it leads to is fine too. */
      const act = Effect.fn("Orders.act")(function* (
        id: OrderId,
        command: CommandOf<"Cancel" | "Reopen">,
        possible: ReadonlyArray<Status>,
        already?: Status
      ) {
        const result = yield* commits.write(command)
        if (result._tag === "Missing") return yield* missing(id)
        const { changed, order } = result
        if (changed || order.status === already) return order
        return yield* new OrderStatusConflict({ order_id: id, order_status: order.status, possible })
      })

      return {
        accept: (order, traceparent = Option.none()) =>
          Effect.flatMap(commits.write(Command.Insert({ order, traceparent })), (result) => acceptance(order, result)),

        acceptMany: Effect.fn("Orders.acceptMany")(function* (orders, traceparent = Option.none()) {
          const results = yield* commits.writeAll(orders.map((order) => Command.Insert({ order, traceparent })))
          return yield* Effect.forEach(Arr.zip(orders, results), ([order, result], index) => {
            const judged = Effect.sync(() => acceptance(order, result))
            // To compare an order with the one that has its id takes a millisecond, if both are large.
            return result._tag !== "Inserted" && index % 32 === 31 ? inTurn(judged) : judged
          })
        }),

        findFinal: Effect.fn("Orders.findFinal")(function* (id, wait, unless) {
          // Listening before looking: what happens in between is not missed.
          const reached = yield* whenFinal(id)
          const order = yield* find(id)
          if (isFinal(order.status)) return order
          yield* reached.pipe(Effect.raceFirst(unless), Effect.timeoutOption(wait))
          return yield* find(id)
        }, Effect.scoped),

        cancel: (id, by = Option.none()) =>
          act(id, Command.Cancel({ order_id: id, by }), transitions.cancel.from, transitions.cancel.to),

        retry: (id, by = Option.none()) => act(id, Command.Reopen({ order_id: id, by }), transitions.reopen.from),

        retryMany: yield* makeRetryMany,

        list: yield* makeList,

        failures: repo.failures,

        // One more than is asked for shows whether there are more.
        history: Effect.fn("Orders.history")(function* (id, after, limit) {
          const { order_id } = yield* find(id)
          const { found } = yield* repo.changes({ order_id }, after, limit + 1)
          const page = found.slice(0, limit)
          return { found: page, next: Option.fromNullable(found.length > limit ? page.at(-1)?.id : undefined) }
        }),

        find
      }
    })
  )
}

type Service = Context.Tag.Service<Orders>

/** What the answer to an insert means to the submitter of the order. */
const makeAcceptance = Effect.gen(function* () {
  const metrics = yield* Metrics
  const { maxPending } = yield* AppConfig
  return (
    order: NewOrder,
    result: Answer<CommandOf<"Insert">>
  ): Either.Either<Acceptance, OrderConflict | BacklogFull> => {
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
    }
  }
})

/** Waits until an order reaches a final state, from the moment that it is asked for to the end of the scope. */
const makeWhenFinal = Effect.gen(function* () {
  const events = yield* OrderEvents
  const waiters = new Set<{ readonly order_id: OrderId; readonly final: Deferred.Deferred<void> }>()
  yield* events.follow((changes) => {
    if (waiters.size === 0) return
    const final = new Set(changes.filter(({ to }) => isFinal(to)).map(({ order_id }) => order_id))
    for (const waiter of waiters) {
      if (final.has(waiter.order_id)) Deferred.unsafeDone(waiter.final, Effect.void)
    }
  })
  return (order_id: OrderId) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const waiter = { order_id, final: Deferred.unsafeMake<void>(FiberId.none) }
        waiters.add(waiter)
        return waiter
      }),
      (waiter) => Effect.sync(() => waiters.delete(waiter))
    ).pipe(Effect.map(({ final }) => Deferred.await(final)))
})

const makeRetryMany = Effect.gen(function* () {
  const commits = yield* GroupCommit
  const repo = yield* OrdersRepo
  /** So that what several calls retry does not meet in one transaction. */
  const reopening = yield* Effect.makeSemaphore(1)
  const retryMany: Service["retryMany"] = Effect.fn("Orders.retryMany")(function* (filter, by = Option.none()) {
    // By key, so that no order is retried twice, and none that comes later.
    const newest = yield* repo.list({}, Option.none(), 1)
    const until = newest.found[0]?.key ?? 0
    const monotonic = yield* monotonicMillis
    const pace = makePace(monotonic)
    const sized = makeSizing(monotonic, retried)
    let count = 0
    let after = Option.some(0)
    while (Option.isSome(after)) {
      const place = after.value
      const { found, next } = yield* pace((look) => repo.reopenable(filter, place, until, retried.most, look))
      for (let done = 0; done < found.length; ) {
        const result = yield* reopening.withPermits(1)(
          sized((size) => {
            const keys = found.slice(done, done + size)
            done += keys.length
            return commits.write(Command.ReopenMany({ filter, keys, by }))
          })
        )
        count += result.count
      }
      after = next
    }
    return count
  })
  return retryMany
})

const makeList = Effect.gen(function* () {
  const repo = yield* OrdersRepo
  const list: Service["list"] = Effect.fn("Orders.list")(function* (filter, before, limit, take) {
    const monotonic = yield* monotonicMillis
    const pace = makePace(monotonic)
    const until = monotonic() + patienceMillis
    let place = before
    let taken = 0
    let last = before
    do {
      // One more than is asked for shows whether there is another page.
      const missing = Math.min(limit + 1 - taken, read)
      const step = yield* pace((look) => repo.list(filter, place, missing, look))
      for (const { key, order } of step.found) {
        if (taken === limit || !(yield* take(order))) return last
        taken += 1
        last = Option.some(key)
      }
      place = step.next
    } while (Option.isSome(place) && monotonic() < until)
    return place
  })
  return list
})

/** How many orders one transaction retries: those of a user are each on a page of their own. */
const retried = { first: 50, least: 20, most: 200, longMillis: 25 }
/** How many orders one step of a listing reads: a MiB, if they are as large as they may be. */
const read = 16
/** After so long a page goes out with what was found until then. */
const patienceMillis = 1000

/** Seconds until a tenth of the backlog has been processed, from 1 to 300; 10 while the rate is not known. */
const untilRoom = (maxPending: number, perSecond: number) =>
  perSecond === 0 ? 10 : Math.min(300, Math.max(1, Math.ceil(maxPending / 10 / perSecond)))
