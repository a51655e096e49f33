import {
  Array as Arr,
  Clock,
  type Context,
  DateTime,
  Deferred,
  Effect,
  FiberId,
  Layer,
  Number as Num,
  Option
} from "effect"
import { AppConfig } from "../AppConfig.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { Order, type OrderId, type Status, transitions } from "../order/Order.ts"
import { type OrderChange, RowKey } from "../order/OrderChange.ts"
import {
  type Command,
  defaultLook,
  type Filter,
  type PrunedRecord,
  prunable,
  Result,
  reopenable,
  suspectLosses,
  workerLost
} from "./Command.ts"
import { addTo, change, noTotals, recordOf, statusAfter, waitOf } from "./CommandGroups.ts"
import { OrdersRepo } from "./OrdersRepo.ts"

interface StoredOrder {
  readonly seq: RowKey
  readonly order: Order
  readonly run: number
  readonly dueAt: number
  /** For how long it was to wait until then. */
  readonly wait: number
  readonly losses: number
  readonly round: number
  readonly traceparent: Option.Option<string>
}

/** Orders in this process's memory. A batch cannot fail half-way here: nothing between its commands can fail. */
const make = Effect.gen(function* () {
  const { maxPending } = yield* AppConfig
  const rows = new Map<RowKey, StoredOrder>()
  const pruned = new Map<OrderId, PrunedRecord>()
  let lastKey = 0
  const keys = new Map<OrderId, RowKey>()
  let totals = noTotals
  const monotonic = yield* monotonicMillis
  let retentionTime = Option.none<DateTime.Utc>()

  const changed: Array<OrderChange> = []
  /** Puts the row in place and notes the change. */
  const put = (before: StoredOrder | undefined, row: StoredOrder, at: number, since: number) => {
    rows.set(row.seq, row)
    const made = change({ ...row.order, seq: row.seq }, before?.order.status, row.order.status, at, since)
    changed.push(made)
    totals = addTo(totals, [made])
  }
  const byId = (id: OrderId) => Option.flatMapNullable(Option.fromNullable(keys.get(id)), (key) => rows.get(key))
  const inStatus = (key: RowKey, from: ReadonlyArray<Status>) =>
    Option.filter(Option.fromNullable(rows.get(key)), (row) => from.includes(row.order.status))

  const all = () => Array.from(rows.values())
  const processing = () => all().filter((row) => row.order.status === transitions.release.from[0])

  /** The order of a row as it waits, for the first time or again. */
  const waiting = (row: StoredOrder, to: Partial<Order>) =>
    new Order({
      ...row.order,
      ...to,
      status: transitions.release.to,
      started_at: Option.none(),
      finished_at: Option.none(),
      next_attempt_at: row.wait > 0 || row.round > 1 ? Option.some(DateTime.unsafeMake(row.dueAt)) : Option.none()
    })

  /** Where an order that was claimed stood in line: it was due then, and is so by a clock that was set back since. */
  const stillDue = (row: StoredOrder, now: number): StoredOrder => ({ ...row, dueAt: Math.min(row.dueAt, now) })

  /** As if the run had not been. */
  const putBack = (row: StoredOrder, now: number) =>
    put(row, { ...row, order: waiting(row, { attempts: row.order.attempts - 1 }) }, now, now)

  const reopen = (row: StoredOrder, now: number) => {
    const next = { ...row, dueAt: now, wait: 0, losses: 0, round: row.round + 1 }
    put(row, { ...next, order: waiting(next, { attempts: 0, result: Option.none() }) }, now, now)
  }

  /** Changes one order by its id, if it is in one of the statuses. */
  const act = (id: OrderId, from: ReadonlyArray<Status>, change: (row: StoredOrder) => void): Result => {
    const key = keys.get(id)
    if (key === undefined) return Result.Missing()
    const row = Option.getOrUndefined(inStatus(key, from))
    if (row !== undefined) change(row)
    return Option.match(Option.fromNullable(rows.get(key)), {
      onNone: () => Result.Missing(),
      onSome: ({ order }) => Result.Acted({ order, changed: row !== undefined })
    })
  }

  const fits =
    (filter: Filter) =>
    ({ order }: StoredOrder) =>
      (filter.status ?? order.status) === order.status &&
      (filter.user_id ?? order.user_id) === order.user_id &&
      (filter.error_code === undefined ||
        (order.status === "Failed" && Option.exists(order.last_error, (error) => error.code === filter.error_code))) &&
      (filter.accepted_after === undefined ||
        DateTime.greaterThanOrEqualTo(order.accepted_at, filter.accepted_after)) &&
      (filter.accepted_before === undefined || DateTime.lessThan(order.accepted_at, filter.accepted_before))

  const reopens = (filter: Filter) =>
    Option.match(reopenable(filter), { onNone: () => () => false, onSome: (status) => fits({ ...filter, status }) })

  /** The rows that fit, of so many that are looked at. */
  const lookThrough = (
    rest: ReadonlyArray<StoredOrder>,
    fits: (row: StoredOrder) => boolean,
    limit: number,
    look: number
  ) => {
    const found: Array<StoredOrder> = []
    let last: StoredOrder | undefined
    for (const row of rest.slice(0, look)) {
      last = row
      if (fits(row)) found.push(row)
      if (found.length === limit) break
    }
    const next = last === rest.at(-1) ? Option.none() : Option.fromNullable(last?.seq)
    return { found, next }
  }

  const run = (command: Command, now: number): Result => {
    switch (command._tag) {
      case "Insert": {
        const known = byId(command.order.order_id)
        const gone = pruned.get(command.order.order_id)
        if (Option.isSome(known)) return Result.Known({ order: known.value.order })
        if (gone !== undefined) return Result.Gone({ record: gone })
        if (totals.Pending >= maxPending) return Result.Full()
        const order = new Order({
          ...command.order,
          status: transitions.accept.to,
          attempts: 0,
          accepted_at: DateTime.unsafeMake(now),
          started_at: Option.none(),
          finished_at: Option.none(),
          next_attempt_at: Option.none(),
          last_error: Option.none(),
          result: Option.none()
        })
        const seq = RowKey(++lastKey)
        keys.set(order.order_id, seq)
        const { traceparent } = command
        put(undefined, { seq, order, run: 0, dueAt: now, wait: 0, losses: 0, round: 1, traceparent }, now, now)
        return Result.Inserted()
      }
      case "Claim": {
        const row = Option.getOrUndefined(inStatus(command.key, transitions.claim.from))
        if (row === undefined) return Result.Unchanged()
        const order = new Order({
          ...row.order,
          status: transitions.claim.to,
          attempts: row.order.attempts + 1,
          started_at: Option.some(DateTime.unsafeMake(now)),
          finished_at: Option.none(),
          next_attempt_at: Option.none()
        })
        const run = row.run + 1
        put(row, { ...row, order, run }, now, row.dueAt)
        const { round, seq, traceparent } = row
        const { attempts: attempt } = order
        return Result.Claimed({
          claim: { key: seq, order, run, attempt, round, traceparent, begunAt: monotonic() }
        })
      }
      case "Record": {
        const row = Option.getOrUndefined(inStatus(command.key, transitions.complete.from))
        if (row === undefined || row.run !== command.run) return Result.Unchanged()
        const { at, outcome, took } = command
        const next = Option.match(waitOf(outcome), {
          onNone: () => stillDue(row, now),
          onSome: (wait) => ({ ...row, dueAt: now + wait, wait })
        })
        if (outcome._tag === "Postponed") {
          put(row, { ...next, order: waiting(next, { last_error: Option.some(outcome.error) }) }, now, now)
          return Result.Recorded()
        }
        if (outcome._tag === "Released") {
          putBack(next, now)
          return Result.Recorded()
        }
        const order = new Order({
          ...row.order,
          status: statusAfter(outcome),
          started_at: Option.map(row.order.started_at, DateTime.min(at)),
          finished_at: Option.some(at),
          result: outcome._tag === "Completed" ? outcome.result : Option.none(),
          last_error: outcome._tag === "Failed" ? Option.some(outcome.error) : Option.none()
        })
        put(row, { ...row, order }, at.epochMillis, at.epochMillis - took)
        return Result.Recorded()
      }
      case "Release": {
        const held = processing().filter((row) => Option.getOrElse(command.key, () => row.seq) === row.seq)
        for (const row of held) putBack(stillDue(row, now), now)
        return Result.Released({ count: held.length })
      }
      case "Cancel":
        return act(command.order_id, transitions.cancel.from, (row) => {
          const order = new Order({
            ...row.order,
            status: transitions.cancel.to,
            next_attempt_at: Option.none(),
            started_at: Option.map(row.order.started_at, DateTime.min(DateTime.unsafeMake(now))),
            finished_at: Option.some(DateTime.unsafeMake(now))
          })
          put(row, { ...row, order }, now, now)
        })
      case "Reopen":
        return act(command.order_id, transitions.reopen.from, (row) => reopen(row, now))
      case "ReopenMany": {
        const { error_code, status } = command.filter
        const found = command.keys
          .flatMap((key) => Arr.fromNullable(rows.get(key)))
          .filter(reopens({ error_code, status }))
        for (const row of found) reopen(row, now)
        return Result.Reopened({ count: found.length })
      }
      case "Prune": {
        const { asOf, before, limit } = command
        const finishedAt = ({ order }: StoredOrder) =>
          Option.match(order.finished_at, { onNone: () => 0, onSome: DateTime.toEpochMillis })
        const old = all()
          .filter(({ order }) => prunable.includes(order.status))
          .filter(({ order }) => Option.exists(order.finished_at, DateTime.lessThan(before)))
          .sort((a, b) => finishedAt(a) - finishedAt(b) || a.seq - b.seq)
          .slice(0, limit)
        retentionTime = Option.some(asOf)
        for (const { order, seq } of old) {
          const record = recordOf(order)
          pruned.set(record.order_id, record)
          keys.delete(record.order_id)
          rows.delete(seq)
        }
        return Result.Pruned({ count: old.length })
      }
      case "Rebase": {
        const { after, by, limit, until } = command
        const line = all()
          .filter((row) => row.order.status === transitions.claim.from[0] && row.seq > after && row.seq <= until)
          .slice(0, limit)
        const found = line.filter((row) => by > 0 || row.dueAt > now + row.wait)
        for (const row of found) {
          const moved = Math.min(row.dueAt + by, now + row.wait)
          const next = { ...row, dueAt: by > 0 ? moved : Math.max(now, moved) }
          rows.set(row.seq, { ...next, order: waiting(next, {}) })
        }
        const end = line[limit - 1]?.seq ?? until
        return Result.Rebased({ count: found.length, next: end < until ? Option.some(end) : Option.none() })
      }
      case "Recover": {
        const held = processing()
        const isLost = (row: StoredOrder) => row.order.attempts >= command.maxAttempts && row.losses >= suspectLosses
        for (const row of held) {
          const at = DateTime.unsafeMake(now)
          const last_error = Option.some({ ...workerLost, attempt: row.order.attempts, at })
          const started_at = Option.map(row.order.started_at, DateTime.min(at))
          const finished_at = Option.some(at)
          const order = isLost(row)
            ? new Order({ ...row.order, status: transitions.fail.to, started_at, finished_at, last_error })
            : waiting(stillDue(row, now), { last_error })
          put(row, { ...stillDue(row, now), order, losses: row.losses + 1 }, now, now)
        }
        const failed = held.filter(isLost).length
        return Result.Recovered({ pending: held.length - failed, failed })
      }
      case "Probe":
        return Result.Probed()
    }
  }

  const service: Context.Tag.Service<OrdersRepo> = {
    write: (commands) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const results = commands.map((command) => run(command, now))
        const changes = changed.splice(0)
        if (!Arr.isNonEmptyReadonlyArray(changes)) return { results, commit: Option.none() }
        return { results, commit: Option.some({ changes, totals }) }
      }),

    find: (id) => Effect.sync(() => Option.map(byId(id), ({ order }) => order)),

    findPruned: (id) => Effect.sync(() => Option.fromNullable(pruned.get(id))),

    window: (lane, limit) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const line = all()
          .filter((row) => row.order.status === transitions.claim.from[0])
          .filter((row) => lane === (row.losses < suspectLosses ? "open" : "suspect"))
          .sort((a, b) => a.dueAt - b.dueAt || a.seq - b.seq)
          .slice(0, limit)
        const ready = line.filter((row) => row.dueAt <= now).map((row) => row.seq)
        return {
          ready,
          nextDueAt: Option.map(Option.fromNullable(line[ready.length]), (row) => row.dueAt),
          more: ready.length === limit
        }
      }),

    firstDueAt: Effect.sync(() => {
      const due = all()
        .filter((row) => row.order.status === transitions.claim.from[0])
        .map((row) => row.dueAt)
      return due.length === 0 ? Option.none() : Option.some(Math.min(...due))
    }),

    list: (filter, before, limit, look = defaultLook) =>
      Effect.sync(() => {
        const rest = all().filter((row) => row.seq < Option.getOrElse(before, () => Number.MAX_SAFE_INTEGER))
        const { found, next } = lookThrough(rest.reverse(), fits(filter), limit, look)
        return { found: found.map(({ order, seq }) => ({ key: seq, order })), next }
      }),

    reopenable: (filter, after, until, limit, look = defaultLook) =>
      Effect.sync(() => {
        const rest = all().filter((row) => row.seq > after && row.seq <= until)
        const { found, next } = lookThrough(rest, reopens(filter), limit, look)
        return { found: found.map((row) => row.seq), next }
      }),

    failures: Effect.sync(() => {
      const failed = all().flatMap(({ order }) =>
        order.status !== transitions.fail.to || Option.isNone(order.last_error) || Option.isNone(order.finished_at)
          ? []
          : [{ order_id: order.order_id, error_code: order.last_error.value.code, at: order.finished_at.value }]
      )
      const groups = Object.values(Arr.groupBy(failed, (failure) => failure.error_code))
        .map((same) => ({
          error_code: same[0].error_code,
          count: same.length,
          first_at: same.map((failure) => failure.at).reduce(DateTime.min),
          last_at: same.map((failure) => failure.at).reduce(DateTime.max),
          order_ids: same
            .slice(-5)
            .reverse()
            .map((failure) => failure.order_id)
        }))
        .sort((a, b) => b.count - a.count || (a.error_code < b.error_code ? -1 : 1))
      const failures = groups.slice(0, 100)
      const others = groups.slice(100)
      return { failures, other: { count: Num.sumAll(others.map((group) => group.count)), groups: others.length } }
    }),

    retentionTime: Effect.sync(() =>
      Option.orElse(retentionTime, () => Option.map(Arr.last(all()), ({ order }) => order.accepted_at))
    ),

    totals: Effect.sync(() => totals),

    fault: Deferred.unsafeMake(FiberId.none)
  }
  return service
})

/** The same behaviour without a database: for tests and trials. Nothing outlives the layer. */
export const layer = Layer.effect(OrdersRepo, make)
