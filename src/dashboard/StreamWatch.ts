import { deadAfterSeconds, heartbeatSeconds } from "../api/Heartbeat.ts"
import type { MetricsJson } from "./ApiJson.ts"

/** The first bytes come with the answer; if they do not, they are held back. */
const firstSignMillis = 3000
/** A heartbeat that is later than this is missing. */
const silenceMillis = (heartbeatSeconds + 5) * 1000
const deadMillis = deadAfterSeconds * 1000
/** Events come with the counts they change. Later ones were held back. */
const lateMillis = 3000
/** A stream that held events back is not trusted for so long. */
const distrustMillis = 60_000

const countsOf = (metrics: MetricsJson) => {
  const { orders_cancelled, orders_completed, orders_failed, orders_pending, orders_processing } = metrics
  return [orders_pending, orders_processing, orders_completed, orders_failed, orders_cancelled].join(" ")
}

/** Judges by its signs of life whether a stream brings events when they happen. `now` is in milliseconds. */
export const streamWatch = (now: () => number) => {
  let openedAt = now()
  let firstSignAt: number | undefined
  let lastSignAt: number | undefined
  let lastEventAt = Number.NEGATIVE_INFINITY
  /** The counts as they were read last since the first sign, and when that reading began. */
  let known: { readonly counts: string; readonly at: number } | undefined
  /** When the counts were found changed without an event; nothing once an event came. */
  let eventMissingSince: number | undefined
  let distrustedUntil = Number.NEGATIVE_INFINITY
  return {
    opened: () => {
      openedAt = now()
      firstSignAt = lastSignAt = known = eventMissingSince = undefined
    },
    /** Returns whether it is the first sign of the stream. */
    sign: () => {
      lastSignAt = now()
      const isFirst = firstSignAt === undefined
      firstSignAt ??= lastSignAt
      return isFirst
    },
    event: () => {
      lastEventAt = now()
      eventMissingSince = undefined
    },
    /** The metrics whose reading began at `at`. */
    counted: (metrics: MetricsJson, at: number) => {
      if (firstSignAt === undefined || at < firstSignAt) return
      const counts = countsOf(metrics)
      if (known !== undefined && known.counts !== counts && lastEventAt < known.at) eventMissingSince ??= now()
      known = { counts, at }
    },
    judge: (): "live" | "silent" | "starting" | "dead" => {
      const at = now()
      if (eventMissingSince !== undefined && at - eventMissingSince > lateMillis) distrustedUntil = at + distrustMillis
      if (at - (lastSignAt ?? openedAt) > deadMillis) return "dead"
      if (at < distrustedUntil) return "silent"
      if (lastSignAt === undefined) return at - openedAt > firstSignMillis ? "silent" : "starting"
      return at - lastSignAt > silenceMillis ? "silent" : "live"
    }
  }
}
