import {
  Array as Arr,
  Clock,
  Context,
  Effect,
  Layer,
  Metric,
  MetricBoundaries,
  MetricLabel,
  type MetricPair,
  Option
} from "effect"
import { AppConfig } from "../AppConfig.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { isFinal, Status } from "../order/Order.ts"
import type { OrderChange } from "../order/OrderChange.ts"
import type { Totals } from "../store/Command.ts"
import { OrderEvents } from "../store/OrderEvents.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"
import { type Figures, secondsBoundaries, together } from "./Figures.ts"
import { measuredSinceNow } from "./Percentiles.ts"
import { rateOfLastMinute, recentEnds } from "./Rates.ts"

/** What OpenTelemetry recommends for HTTP: there is a series of each for every method, route and status. */
const httpBoundaries = MetricBoundaries.fromIterable([
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10
])

/** The names of the metrics made here: the registry is one for the whole process, and others may count in it too. */
const names = new Set<string>()
const named = (name: string) => {
  names.add(name)
  return name
}
const counter = (name: string, description: string) => Metric.counter(named(name), { description, incremental: true })
const gauge = (name: string, description: string) => Metric.gauge(named(name), { description })
/** A timer in seconds: `Metric.timer` counts milliseconds, and says so in a label of its own. */
const timer = (name: string, description: string, boundaries = secondsBoundaries) =>
  Metric.histogram(named(name), boundaries, description)

const ordersAccepted = counter("orders_accepted_total", "Orders accepted")
const ordersReplayed = counter("orders_replayed_total", "Orders submitted again with the same content")
const ordersRefused = counter("orders_refused_total", "Requests refused, by problem")
const ordersFinished = counter("orders_finished_total", "Orders that reached a final state, by state")
const attemptsEnded = counter("orders_attempts_total", "Runs of the processor that ended, by outcome")
const ordersByStatus = gauge("orders_by_status", "All orders ever accepted, by the status they are in")
const queueDepth = gauge("orders_queue_depth", "Orders in the queue")
const queueCapacity = gauge("orders_queue_capacity", "Orders the queue can hold")
const maxPending = gauge("orders_pending_limit", "Waiting orders beyond which new ones are refused")
const oldestDue = gauge("orders_oldest_due_seconds", "How long the oldest order that is due has waited for its turn")
const workers = gauge("orders_workers", "Workers")
const workersBusy = gauge("orders_workers_busy", "Workers that hold an order")
const breaker = gauge("orders_breaker_open", "1 while the circuit breaker is not closed")
const ready = gauge("orders_ready", "1 while the service takes and writes orders, as /readyz and /metrics found last")
const queueWait = timer("orders_queue_wait_seconds", "From due to claimed")
const processingTime = timer("orders_processing_seconds", "From claimed to finished, of the runs that succeeded")
const httpDuration = timer(
  "http_server_request_duration_seconds",
  "HTTP requests by method, route and status",
  httpBoundaries
)

/**
 * Updates a metric under labels; an empty value is no label. The values come from the program alone, so they are few.
 * The labels are made once for each: Effect finds a metric at once by the identity of its labels, and slowly by value.
 */
const labelled = <Type, Out>(metric: Metric.Metric<Type, number, Out>, ...names: ReadonlyArray<string>) => {
  const made = new Map<string, ReadonlyArray<MetricLabel.MetricLabel>>()
  return (input: number, ...values: ReadonlyArray<string>) => {
    const key = values.join(" ")
    const labels = made.get(key) ?? Arr.zipWith(names, values, MetricLabel.make).filter(({ value }) => value !== "")
    made.set(key, labels)
    metric.unsafeUpdate(input, labels)
  }
}

/** What can become of a run. `superseded`: it ended too late to be recorded. */
const countedOutcomes = ["completed", "failed", "postponed", "released", "cancelled", "superseded"] as const
export type CountedOutcome = (typeof countedOutcomes)[number]

const refusedFor = labelled(ordersRefused, "reason")
const finishedAs = labelled(ordersFinished, "status")
const attemptsAs = labelled(attemptsEnded, "outcome")
const ordersIn = labelled(ordersByStatus, "status")
const durationOf = labelled(httpDuration, "http_request_method", "http_route", "http_response_status_code")

/** So that a series is there, at zero, before the first of its kind comes: else its first increase would not be seen. */
const begin = () => {
  ordersAccepted.unsafeUpdate(0, [])
  ordersReplayed.unsafeUpdate(0, [])
  for (const problem of ["BacklogFull", "InvalidRequest", "OrderConflict"]) refusedFor(0, problem)
  for (const status of Status.literals.filter(isFinal)) finishedAs(0, status)
  for (const outcome of countedOutcomes) attemptsAs(0, outcome)
}

const view = (totals: Totals) => ({
  total_orders: Status.literals.reduce((sum, status) => sum + totals[status], 0),
  orders_pending: totals.Pending,
  orders_processing: totals.Processing,
  orders_completed: totals.Completed,
  orders_failed: totals.Failed,
  orders_cancelled: totals.Cancelled,
  total_processed: totals.Completed + totals.Failed,
  average_processing_time: totals.Completed === 0 ? 0 : totals.processingMillis / totals.Completed / 1000
})

/** What happened lately, by the clock that is never set. Orders are those of all nodes, and refusals this one's. */
const makeRecent = (monotonic: () => number) => {
  const startedAt = monotonic()
  const accepted = rateOfLastMinute(startedAt)
  const completed = rateOfLastMinute(startedAt)
  const failed = rateOfLastMinute(startedAt)
  const finished = rateOfLastMinute(startedAt)
  const refused = rateOfLastMinute(startedAt)
  const ends = recentEnds(monotonic)
  return {
    add: ({ from, to }: OrderChange, now: number) => {
      if (Option.isNone(from)) accepted.add(now, 1)
      if (isFinal(to)) finished.add(now, 1)
      if (to === "Completed") completed.add(now, 1)
      if (to === "Failed") failed.add(now, 1)
      if (to === "Completed" || to === "Failed") ends.add(to === "Failed")
    },
    refused: () => refused.add(monotonic(), 1),
    refusals: () => refused.total(monotonic()),
    drainRate: () => finished.perSecond(monotonic()),
    view: () => {
      const now = monotonic()
      return {
        accepted_per_second: accepted.perSecond(now),
        completed_per_second: completed.perSecond(now),
        failed_per_second: failed.perSecond(now),
        last_finished: ends.count()
      }
    }
  }
}

/**
 * All that is counted and timed. The totals are the ones the last commit brought, so they always add up, and no
 * request and no start counts rows. Recording is synchronous and cannot fail.
 */
export class Metrics extends Context.Tag("orders/Metrics")<
  Metrics,
  {
    /**
     * What `GET /api/metrics` answers. Times are in seconds. The counts and rates of orders are those of all nodes, what
     * {@link Figures} holds is this one's.
     */
    readonly snapshot: Effect.Effect<
      ReturnType<typeof view> &
        ReturnType<typeof together> & {
          readonly accepted_per_second: number
          readonly completed_per_second: number
          readonly failed_per_second: number
          readonly orders_pending_limit: number
          readonly oldest_due_seconds: number
          readonly last_finished: { readonly finished: number; readonly failed: number }
        }
    >
    /** What this node counts and measures for itself. */
    readonly figures: () => Figures
    /** Orders that reached a final state, on whichever node, per second of the last minute. */
    readonly drainRate: () => number
    readonly replayed: () => void
    readonly refused: (reason: string) => void
    readonly attemptEnded: (outcome: CountedOutcome) => void
    readonly workerBusy: (by: 1 | -1) => void
    readonly workersBusy: () => number
    readonly queueDepth: (depth: number) => void
    readonly breakerOpen: (isOpen: boolean) => void
    readonly ready: (isReady: boolean) => void
    /** Of a route by its template; none, if the path is no route's. */
    readonly request: (method: string, route: string | undefined, status: number, seconds: number) => void
    /** All our metrics as they stand in the registry. */
    readonly series: Effect.Effect<ReadonlyArray<MetricPair.MetricPair.Untyped>>
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      const events = yield* OrderEvents
      const config = yield* AppConfig
      const monotonic = yield* monotonicMillis

      let totals = yield* repo.totals
      let depth = 0
      let busy = 0
      const setTotals = (next: Totals) => {
        totals = next
        for (const status of Status.literals) ordersIn(next[status], status)
      }
      begin()
      setTotals(totals)
      queueCapacity.unsafeUpdate(config.queueCapacity, [])
      workers.unsafeUpdate(config.workers, [])
      workersBusy.unsafeUpdate(0, [])
      queueDepth.unsafeUpdate(0, [])
      maxPending.unsafeUpdate(config.maxPending, [])
      breaker.unsafeUpdate(0, [])
      ready.unsafeUpdate(1, [])

      const recent = makeRecent(monotonic)
      yield* events.listen((commit) => {
        for (const change of commit.changes) {
          if (Option.isNone(change.from)) ordersAccepted.unsafeUpdate(1, [])
          if (change.to === "Processing") queueWait.unsafeUpdate(change.elapsedMillis / 1000, [])
          if (change.to === "Completed") processingTime.unsafeUpdate(change.elapsedMillis / 1000, [])
          if (isFinal(change.to)) finishedAs(1, change.to)
        }
        setTotals(commit.totals)
      })
      yield* events.follow((changes) => {
        const now = monotonic()
        for (const change of changes) recent.add(change, now)
      })

      const processingTimes = measuredSinceNow(processingTime)
      const queueWaits = measuredSinceNow(queueWait)
      const figures = (): Figures => ({
        workers: config.workers,
        workers_busy: busy,
        queue_depth: depth,
        queue_capacity: config.queueCapacity,
        orders_refused_last_minute: recent.refusals(),
        processing_time: processingTimes(),
        queue_wait: queueWaits()
      })

      let firstDueAt = Option.none<number>()
      /** While the storage does not answer, the order that was the oldest still is. */
      const oldestDueSeconds = Effect.gen(function* () {
        firstDueAt = yield* Effect.orElseSucceed(repo.firstDueAt, () => firstDueAt)
        const now = yield* Clock.currentTimeMillis
        const seconds = Option.match(firstDueAt, {
          onNone: () => 0,
          onSome: (dueAt) => Math.max(0, now - dueAt) / 1000
        })
        oldestDue.unsafeUpdate(seconds, [])
        return seconds
      })

      /** What other nodes changed is not among this process's commits. */
      const current = Option.isNone(repo.nodes) ? Effect.void : Effect.ignore(Effect.map(repo.totals, setTotals))

      return {
        snapshot: Effect.map(Effect.zipRight(current, oldestDueSeconds), (oldest_due_seconds) => ({
          ...view(totals),
          ...recent.view(),
          ...together([figures()]),
          orders_pending_limit: config.maxPending,
          oldest_due_seconds
        })),
        figures,
        drainRate: recent.drainRate,
        replayed: () => ordersReplayed.unsafeUpdate(1, []),
        refused: (reason) => {
          refusedFor(1, reason)
          if (reason === "BacklogFull") recent.refused()
        },
        attemptEnded: (outcome) => attemptsAs(1, outcome),
        workersBusy: () => busy,
        workerBusy: (by) => {
          busy += by
          workersBusy.unsafeUpdate(busy, [])
        },
        queueDepth: (now) => {
          depth = now
          queueDepth.unsafeUpdate(now, [])
        },
        breakerOpen: (isOpen) => breaker.unsafeUpdate(isOpen ? 1 : 0, []),
        ready: (isReady) => ready.unsafeUpdate(isReady ? 1 : 0, []),
        // What no route was found for has none, as OpenTelemetry wants it.
        request: (method, route = "", status, seconds) => durationOf(seconds, method, route, String(status)),
        series: Effect.map(Effect.zipRight(Effect.zip(current, oldestDueSeconds), Metric.snapshot), (pairs) =>
          pairs.filter(({ metricKey }) => names.has(metricKey.name))
        )
      }
    })
  )
}
