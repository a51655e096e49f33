import { DateTime, Option } from "effect"
import { leastJump } from "../MonotonicClock.ts"
import type { Breaker, Moment } from "./Breaker.ts"

/** The breaker as it is shown. */
export interface BreakerState {
  /** While open, no order is claimed. While half-open, the one probe is. */
  readonly state: "closed" | "open" | "half_open"
  /** Attempts that failed by the processor's fault since it last answered. */
  readonly failures_in_a_row: number
  /** The code of the last of them. */
  readonly last_error_code: Option.Option<string>
  readonly opened_at: Option.Option<DateTime.Utc>
  readonly next_probe_at: Option.Option<DateTime.Utc>
}

/** As it was worked out, so that it is the same each time it is shown, unless the clock was set since. */
const probeAt = (due: Moment, { monotonic, wall }: Moment) => {
  const byNow = DateTime.add(wall, { millis: due.monotonic - monotonic })
  return Math.abs(DateTime.distance(due.wall, byNow)) < leastJump ? due.wall : byNow
}

export const stateOf = (breaker: Breaker, now: Moment): BreakerState => {
  const common = { failures_in_a_row: breaker.streak.count, last_error_code: breaker.streak.code }
  if (breaker._tag === "Closed") {
    return { ...common, state: "closed", opened_at: Option.none(), next_probe_at: Option.none() }
  }
  const { due, openedAt, probe } = breaker
  const opened_at = Option.some(openedAt.wall)
  return Option.isSome(probe)
    ? { ...common, state: "half_open", opened_at, next_probe_at: Option.none() }
    : { ...common, state: "open", opened_at, next_probe_at: Option.some(probeAt(due, now)) }
}
