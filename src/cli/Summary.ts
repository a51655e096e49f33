import { DateTime, Effect, Option } from "effect"
import type { Status } from "../order/Order.ts"
import { Delivery } from "./Delivery.ts"
import { Coloured, printFields, printJson, printTable } from "./Output.ts"
import type { Found, SimulationFault } from "./SimulationFaults.ts"

/** The whole of a run, as `--json` shows it. Times of orders are the service's own. */
export interface Summary {
  readonly run: string
  readonly seed: number
  readonly orders: number
  readonly accepted: number
  readonly replayed: number
  readonly refused: Readonly<Record<string, number>>
  readonly unanswered: number
  readonly repeated_submissions: number
  readonly connections_lost: number
  readonly acceptance_ms: { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number }
  readonly seconds_submitting: number
  /** `null` when none is Completed, and when the orders were not looked at in the end. */
  readonly seconds_to_last_completed: number | null
  readonly accepted_per_second: number
  readonly completed_per_second: number | null
  /** By the last events when the orders were not looked at in the end; `null` without events. */
  readonly statuses: Readonly<Record<Status, number>> | null
  readonly interrupted: boolean
  /** `null` when it was interrupted, or the service was away for good, before the end. */
  readonly check: { readonly ok: boolean; readonly faults: ReadonlyArray<SimulationFault> } | null
}

/** Nearest rank. */
const percentile = (sorted: ReadonlyArray<number>, share: number) =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0

export const countDeliveries = (deliveries: Iterable<Delivery>) => {
  const refused: Record<string, number> = {}
  const millis: Array<number> = []
  const count = { accepted: 0, replayed: 0, unanswered: 0, repeated_submissions: 0 }
  for (const delivery of deliveries) {
    count.repeated_submissions += delivery.repeats
    Delivery.$match(delivery, {
      Acknowledged: (acknowledged) => {
        count[acknowledged.replayed ? "replayed" : "accepted"] += 1
        millis.push(acknowledged.millis)
      },
      Refused: ({ reason }) => {
        refused[reason] = (refused[reason] ?? 0) + 1
      },
      Unanswered: () => {
        count.unanswered += 1
      }
    })
  }
  millis.sort((a, b) => a - b)
  const at = (share: number) => percentile(millis, share)
  return { ...count, refused, acceptance_ms: { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) } }
}

/** From the first acceptance to the last Completed, in seconds. */
export const spanOf = (listed: ReadonlyArray<Found>): number | null => {
  let first = Number.POSITIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  for (const order of listed) {
    first = Math.min(first, DateTime.toEpochMillis(order.accepted_at))
    if (order.status === "Completed" && Option.isSome(order.finished_at)) {
      last = Math.max(last, DateTime.toEpochMillis(order.finished_at.value))
    }
  }
  return Number.isFinite(first) && Number.isFinite(last) ? (last - first) / 1000 : null
}

export const perSecond = (orders: number, seconds: number) => Math.round((orders / Math.max(seconds, 0.001)) * 10) / 10

const named = (count: Readonly<Record<string, number>>) =>
  Object.entries(count)
    .filter(([, orders]) => orders > 0)
    .map(([name, orders]) => `${orders} ${name}`)
    .join(", ") || "none"

/** A broken service may break its word about every order; --json has them all. */
const maxFaults = 20

const verdict = ({ check, interrupted }: Summary) => {
  if (check === null) {
    return new Coloured("yellow", interrupted ? "interrupted, not checked" : "not checked, the service is away")
  }
  if (check.ok) return new Coloured("green", "ok: every acknowledged order is there, unaltered, and ended once")
  return new Coloured("red", `FAILED: ${check.faults.length === 1 ? "1 fault" : `${check.faults.length} faults`}`)
}

const notLookedUp = "not looked up"

const lastCompleted = ({ check, completed_per_second, seconds_to_last_completed, statuses }: Summary) => {
  if (seconds_to_last_completed === null) return check === null && statuses?.Completed !== 0 ? notLookedUp : "none"
  return `${seconds_to_last_completed} s after the first acceptance, ${completed_per_second} orders a second`
}

const statusesText = ({ check, statuses }: Summary) => {
  if (statuses === null) return notLookedUp
  return check === null ? `${named(statuses)}, by the last events` : named(statuses)
}

export const printSummary = Effect.fnUntraced(function* (summary: Summary, json: boolean) {
  if (json) return yield* printJson(summary)
  const { acceptance_ms: ms } = summary
  yield* printFields([
    ["run", `${summary.run} (--seed ${summary.seed})`],
    ["orders", summary.orders],
    ["accepted", `${summary.accepted}, and ${summary.replayed} found accepted before when sent again`],
    ["refused", named(summary.refused)],
    ["unanswered", summary.unanswered],
    [
      "sent again",
      `${summary.repeated_submissions} times; connection to the events lost ${summary.connections_lost} times`
    ],
    ["acceptance", `p50 ${ms.p50} ms, p95 ${ms.p95} ms, p99 ${ms.p99} ms, max ${ms.max} ms`],
    ["submitting", `${summary.seconds_submitting} s, ${summary.accepted_per_second} orders a second`],
    ["last Completed", lastCompleted(summary)],
    ["statuses", statusesText(summary)],
    ["check", verdict(summary)]
  ])
  const faults = summary.check?.faults ?? []
  if (faults.length === 0) return
  yield* printTable(
    ["FAULT", "ORDER", "DETAIL"],
    faults.slice(0, maxFaults).map(({ detail, fault, order_id }) => [fault, order_id, detail])
  )
})
