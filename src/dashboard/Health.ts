import type { MetricsJson } from "./ApiJson.ts"
import type { ConnectionState } from "./ConnectionState.ts"
import { count, orders, time } from "./Format.ts"
import { Outside, type Text } from "./Text.ts"

/** What is wrong, the worst first: the first one found is shown in full, the others are named beside it. */
interface Alarm {
  readonly kind: "Stale" | "Refusing" | "Blocked" | "Failing"
  readonly text: Text
  /** What changes each second, apart from what is read aloud. */
  readonly counts: string
}

export interface Known {
  readonly connection: ConnectionState | undefined
  readonly metrics: MetricsJson | undefined
  /** Why the service is not ready; nothing if it is. */
  readonly reason: string | undefined
}

/** So many orders failed, and this share of those that finished, before it is said: one customer's bad order is not it. */
const [fewestFailed, failingShare] = [5, 0.2]
/** Due for so long while nothing finishes, orders are not only slow. */
const stuckSeconds = 120

const staleText = (state: ConnectionState, since: string) => {
  const seen = `What you see is as of ${since}`
  if (state.kind === "asking") return `A key is needed. ${seen}.`
  return state.kind === "lost" && state.isLimit
    ? `Too many requests. ${seen}; waiting.`
    : `Connection lost. ${seen}; trying again.`
}

const stale = (connection: ConnectionState | undefined): Alarm | undefined =>
  connection?.kind !== "lost" && connection?.kind !== "asking"
    ? undefined
    : {
        kind: "Stale",
        text: staleText(connection, time(new Date(connection.since).toISOString())),
        counts: connection.why
      }

const refusing = ({ metrics, reason }: Known): Alarm | undefined => {
  const refused = metrics?.orders_refused_last_minute ?? 0
  const [waiting, limit] = [metrics?.orders_pending ?? 0, metrics?.orders_pending_limit ?? Number.POSITIVE_INFINITY]
  const counts = `${count(waiting)} of ${count(limit)} orders wait. ${orders(refused)} refused in the last minute.`
  if (reason !== undefined) {
    const why = reason.replace(/^Not ready/, "The service is not ready")
    return { kind: "Refusing", text: `${why} New orders may be refused.`, counts: refused > 0 ? counts : "" }
  }
  if (waiting >= limit) return { kind: "Refusing", text: "The backlog is full: new orders are refused.", counts }
  if (refused === 0) return undefined
  return { kind: "Refusing", text: "The backlog was full in the last minute.", counts }
}

const blocked = ({ metrics }: Known): Alarm | undefined => {
  if (metrics === undefined) return undefined
  const { breaker, completed_per_second, failed_per_second, oldest_due_seconds, orders_pending } = metrics
  if (breaker.state !== "closed") {
    const code = breaker.last_error_code === null ? [] : [" with ", new Outside(breaker.last_error_code)]
    const since = breaker.opened_at === null ? "" : `, since ${time(breaker.opened_at)}`
    return {
      kind: "Blocked",
      text: ["The processor fails", ...code, `${since}. Orders wait; one is tried at times.`],
      counts: `${count(breaker.failures_in_a_row)} failures in a row. ${orders(orders_pending)} waiting.`
    }
  }
  if (oldest_due_seconds < stuckSeconds || completed_per_second + failed_per_second > 0) return undefined
  return {
    kind: "Blocked",
    text: "Orders are due and none has finished in the last minute.",
    counts: `${orders(orders_pending)} waiting, the oldest for ${count(Math.floor(oldest_due_seconds / 60))} min. ${count(metrics.workers_busy)} of ${count(metrics.workers)} workers busy.`
  }
}

const failing = ({ metrics }: Known): Alarm | undefined => {
  if (metrics === undefined) return undefined
  const { failed, finished } = metrics.last_finished
  if (failed < fewestFailed || failed < finished * failingShare) return undefined
  return {
    kind: "Failing",
    text: "Many orders fail; under Failures stands why.",
    counts: `${count(failed)} of the last ${orders(finished)} to finish failed.`
  }
}

/** What is wrong, by one rule, the worst first. What is stale is not judged. */
export const alarmsOf = (known: Known): ReadonlyArray<Alarm> => {
  const first = stale(known.connection)
  if (first !== undefined) return [first]
  return [refusing(known), blocked(known), failing(known)].filter((alarm) => alarm !== undefined)
}
