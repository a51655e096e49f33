import { Array as Arr, Data, DateTime, Option } from "effect"
import type { LazyArg } from "effect/Function"
import type { RowKey } from "../order/OrderChange.ts"

/** Attempts in a row, that failed by the processor's fault, which open the breaker. */
const threshold = 10
/** Milliseconds: to the first probe, the most that the wait for the next one doubles to, the most a processor can ask for. */
const [firstProbe, longestProbe, longestAsked] = [1000, 30_000, 3_600_000]

/**
 * What the end of an attempt says of the processor. It was "unavailable" to that order at least, or "unreachable" to
 * any; a timeout or a defect leaves it "unknown".
 */
export type Verdict = "available" | "unavailable" | "unreachable" | "unknown"

/** Now, by the clock that is never set, in milliseconds, and by the wall clock. */
export interface Moment {
  readonly monotonic: number
  readonly wall: DateTime.Utc
}

/** The failures in a row, and the orders of the last ten of them; none stands for no order in particular. */
interface Streak {
  readonly count: number
  readonly keys: ReadonlyArray<RowKey | undefined>
  readonly code: Option.Option<string>
}

/** The state of the breaker, with the failures since the processor last answered. Each probe has a number of its own. */
export type Breaker = Data.TaggedEnum<{
  Closed: { readonly streak: Streak }
  Open: {
    readonly streak: Streak
    readonly openedAt: Moment
    /** The orders tried since it opened, so that no few keep others from it. */
    readonly tried: ReadonlySet<RowKey>
    /** The least wait for the next probe, in milliseconds, and when that is. */
    readonly wait: number
    readonly due: Moment
    readonly probe: Option.Option<number>
  }
}>
export const Breaker = Data.taggedEnum<Breaker>()
type Open = Data.TaggedEnum.Value<Breaker, "Open">

/** What happens to it. `probe` is none for an attempt that is no probe. */
export type BreakerEvent = Data.TaggedEnum<{
  /** An attempt ended. The processor may have asked to be left alone for `delay` milliseconds. */
  Ended: {
    readonly key: RowKey
    readonly verdict: Verdict
    readonly delay: number
    readonly code: Option.Option<string>
    readonly probe: Option.Option<number>
  }
  /** An order is tried as a probe. */
  Tried: { readonly key: RowKey; readonly probe: number }
  /** A probe was not made. */
  GivenBack: { readonly probe: number }
}>
export const BreakerEvent = Data.taggedEnum<BreakerEvent>()

/** What is worth a line in the log. */
export type Notice = Data.TaggedEnum<{
  Opened: { readonly failures: number; readonly probeIn: number }
  StillOpen: { readonly verdict: Verdict; readonly probeIn: number }
  Closed: { readonly why: "answered" | "one order"; readonly openFor: number }
}>
export const Notice = Data.taggedEnum<Notice>()

export interface Step {
  readonly breaker: Breaker
  /** Whether the attempt that ended counts, should it have failed. */
  readonly counts: boolean
  readonly notice: Option.Option<Notice>
}

const noFailure: Streak = { count: 0, keys: [], code: Option.none() }
export const closed: Breaker = Breaker.Closed({ streak: noFailure })

/** Whether it may be the order that brings the processor down, and not the processor that is down: one alone fails. */
const isOfOneOrder = ([first, ...rest]: Streak["keys"]) => first !== undefined && rest.every((key) => key === first)

const hasReachedThreshold = ({ keys }: Streak) => keys.length === threshold

const failedOnce = (streak: Streak, { code, key, verdict }: Data.TaggedEnum.Value<BreakerEvent, "Ended">): Streak => ({
  count: streak.count + 1,
  keys: Arr.takeRight([...streak.keys, verdict === "unreachable" ? undefined : key], threshold),
  code
})

const later = ({ monotonic, wall }: Moment, millis: number): Moment => ({
  monotonic: monotonic + millis,
  wall: DateTime.add(wall, { millis })
})

/** Until the next probe, in milliseconds: as long as the breaker waits, or as the processor asked for. */
const waitFor = (wait: number, delay: number) => Math.max(wait, Math.min(longestAsked, delay))

const unchanged = (breaker: Breaker, counts: boolean): Step => ({ breaker, counts, notice: Option.none() })

const close = (
  breaker: Open,
  why: "answered" | "one order",
  streak: Streak,
  now: LazyArg<Moment>,
  counts: boolean
): Step => ({
  breaker: Breaker.Closed({ streak }),
  counts,
  notice: Option.some(Notice.Closed({ why, openFor: now().monotonic - breaker.openedAt.monotonic }))
})

const afterProbe = (
  breaker: Open,
  streak: Streak,
  { delay, verdict }: Data.TaggedEnum.Value<BreakerEvent, "Ended">,
  now: LazyArg<Moment>
): Step => {
  if (hasReachedThreshold(streak) && isOfOneOrder(streak.keys)) return close(breaker, "one order", streak, now, false)
  const wait = Math.min(longestProbe, breaker.wait * 2)
  const probeIn = waitFor(wait, delay)
  return {
    breaker: Breaker.Open({ ...breaker, streak, wait, due: later(now(), probeIn), probe: Option.none() }),
    counts: false,
    notice: Option.some(Notice.StillOpen({ verdict, probeIn }))
  }
}

const ended = (breaker: Breaker, event: Data.TaggedEnum.Value<BreakerEvent, "Ended">, now: LazyArg<Moment>): Step => {
  if (event.verdict === "available") {
    if (breaker._tag === "Open") return close(breaker, "answered", noFailure, now, true)
    return unchanged(breaker.streak.count === 0 ? breaker : closed, true)
  }
  const streak = event.verdict === "unknown" ? breaker.streak : failedOnce(breaker.streak, event)
  if (breaker._tag === "Open") {
    const isItsProbe = Option.isSome(event.probe) && Option.contains(breaker.probe, event.probe.value)
    return isItsProbe ? afterProbe(breaker, streak, event, now) : unchanged(Breaker.Open({ ...breaker, streak }), false)
  }
  // A probe that ends after another has closed the breaker.
  if (Option.isSome(event.probe)) return unchanged(Breaker.Closed({ streak }), false)
  if (!hasReachedThreshold(streak) || isOfOneOrder(streak.keys)) return unchanged(Breaker.Closed({ streak }), true)
  const probeIn = waitFor(firstProbe, event.delay)
  const openedAt = now()
  const due = later(openedAt, probeIn)
  return {
    breaker: Breaker.Open({ streak, openedAt, tried: new Set(), wait: firstProbe, due, probe: Option.none() }),
    counts: true,
    notice: Option.some(Notice.Opened({ failures: streak.count, probeIn }))
  }
}

/**
 * The breaker after an event. It opens after ten attempts in a row that failed by the processor's fault, unless one
 * order alone did and got through to it. Then one order at a time is tried, after a second, two, four, ... at most
 * thirty; the first that the processor answers closes it. The clocks are read only where the time is needed: every
 * attempt that ends comes this way.
 */
export const step = (breaker: Breaker, event: BreakerEvent, now: LazyArg<Moment>): Step => {
  switch (event._tag) {
    case "Ended":
      return ended(breaker, event, now)
    case "Tried":
      return unchanged(
        breaker._tag === "Open"
          ? Breaker.Open({
              ...breaker,
              tried: new Set(breaker.tried).add(event.key),
              probe: Option.some(event.probe)
            })
          : breaker,
        false
      )
    case "GivenBack":
      return unchanged(
        breaker._tag === "Open" && Option.contains(breaker.probe, event.probe)
          ? Breaker.Open({ ...breaker, probe: Option.none() })
          : breaker,
        false
      )
  }
}
