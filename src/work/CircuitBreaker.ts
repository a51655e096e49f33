import { Array as Arr, Context, DateTime, Duration, Effect, Layer, Option, Queue } from "effect"
import { keepRunning } from "../KeepRunning.ts"
import { leastJump, monotonicMillis } from "../MonotonicClock.ts"
import { Metrics } from "../observe/Metrics.ts"
import type { RowKey } from "../order/OrderChange.ts"

/** Attempts in a row, that failed by the processor's fault, which open the breaker. */
const threshold = 10
/** When the first probe is made, the most that the wait for the next one doubles to, and that a processor can ask for. */
const [firstProbe, longestProbe, longestAsked] = [1000, 30_000, 3_600_000]

/**
 * What the end of an attempt says of the processor. It was "unavailable" to that order at least, or "unreachable" to
 * any; a timeout or a defect leaves it "unknown".
 */
export type Verdict = "available" | "unavailable" | "unreachable" | "unknown"

/** The leave to claim one order. */
export interface Permit {
  /**
   * Says how the attempt ended, how long the processor asked to be left alone, and the code of the error. Answers
   * whether the attempt counts, should it have failed.
   */
  readonly report: (key: RowKey, verdict: Verdict, delay?: Duration.Duration, code?: string) => Effect.Effect<boolean>
  /** Gives the permit back, if it was not used. */
  readonly giveBack: () => void
  readonly isProbe: boolean
}

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

/** An opening of the breaker, until it closes. */
interface Opening {
  readonly since: DateTime.Utc
  /** The same by the clock that is never set. */
  readonly openedAt: number
  readonly tried: Set<RowKey>
  /** The least wait for the next probe, in milliseconds. */
  wait: number
  /** When that is, by the clock that is never set; and by the other, as it was then. */
  due: number
  nextProbeAt: DateTime.Utc
  probe: Permit | undefined
}

interface Waiter {
  readonly key: RowKey
  readonly admit: (permit: Permit) => void
}

/** The failures in a row, and the orders of the last ten of them; none stands for no order in particular. */
interface Row {
  readonly count: number
  readonly keys: ReadonlyArray<RowKey | undefined>
  readonly code: Option.Option<string>
}

const noFailure: Row = { count: 0, keys: [], code: Option.none() }

/** Whether it may be the order that brings the processor down, and not the processor that is down: one alone fails. */
const isOfOneOrder = ([first, ...rest]: ReadonlyArray<RowKey | undefined>) =>
  first !== undefined && rest.every((key) => key === first)

/**
 * Stands in front of the processor, and parks the orders while it is at fault: orders wait instead of using up their
 * attempts. See "Circuit Breaker" in M. Nygard, Release It!, 2007.
 *
 * It opens after ten attempts in a row that failed by the processor's fault, unless one order alone did and got through
 * to it. Then one order at a time is tried, after a second, two, four, ... at most thirty, and one after the other; the
 * first that the processor answers closes it.
 */
export class CircuitBreaker extends Context.Tag("orders/CircuitBreaker")<
  CircuitBreaker,
  {
    /** Waits until that order may be claimed: at once while closed, else until it is tried or the breaker closes. */
    readonly admit: (key: RowKey) => Effect.Effect<Permit>
    readonly state: Effect.Effect<BreakerState>
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const metrics = yield* Metrics
      const clock = yield* Effect.clock
      const now = yield* monotonicMillis

      let row = noFailure
      let opening: Opening | undefined
      const waiters = new Set<Waiter>()
      const changed = yield* Queue.sliding<void>(1)

      const wallClock = () => DateTime.unsafeMake(clock.unsafeCurrentTimeMillis())

      /** Tells in how many seconds that will be. */
      const scheduleProbe = (opening: Opening, from: DateTime.Utc, delay = Duration.zero) => {
        const millis = Math.max(opening.wait, Math.min(longestAsked, Duration.toMillis(delay)))
        opening.due = now() + millis
        opening.nextProbeAt = DateTime.add(from, { millis })
        changed.unsafeOffer(undefined)
        return Math.round(millis / 1000)
      }

      /** As it was worked out, so that it is the same each time it is shown, unless the clock was set since. */
      const nextProbeAt = ({ due, nextProbeAt }: Opening) => {
        const byNow = DateTime.add(wallClock(), { millis: due - now() })
        return Math.abs(DateTime.distance(nextProbeAt, byNow)) < leastJump ? nextProbeAt : byNow
      }

      const close = (why: string) => {
        if (opening === undefined) return Effect.void
        const seconds = Math.round((now() - opening.openedAt) / 1000)
        opening = undefined
        metrics.breakerOpen(false)
        for (const waiter of waiters) waiter.admit(free)
        changed.unsafeOffer(undefined)
        return Effect.logInfo(`${why}: the breaker is closed after ${seconds} s, orders are worked again`)
      }

      const open = (delay?: Duration.Duration) => {
        const [since, openedAt] = [wallClock(), now()]
        opening = { since, openedAt, tried: new Set(), wait: firstProbe, due: 0, nextProbeAt: since, probe: undefined }
        const seconds = scheduleProbe(opening, since, delay)
        metrics.breakerOpen(true)
        return Effect.logWarning(
          `The processor failed ${row.count} times in a row: the breaker is open, orders wait; one is tried in ${seconds} s`
        )
      }

      const afterProbe = (opening: Opening, verdict: Verdict, delay?: Duration.Duration) => {
        opening.probe = undefined
        if (row.keys.length === threshold && isOfOneOrder(row.keys)) return close("One order alone fails")
        opening.wait = Math.min(longestProbe, opening.wait * 2)
        const seconds = scheduleProbe(opening, wallClock(), delay)
        const found =
          verdict === "unknown"
            ? "The order that was tried told nothing of the processor"
            : "The processor is still down"
        return Effect.logInfo(`${found}; the next order is tried in ${seconds} s`)
      }

      const report = (permit: Permit, key: RowKey, verdict: Verdict, delay?: Duration.Duration, code?: string) => {
        if (verdict === "available") {
          row = noFailure
          return Effect.as(close("The processor is back"), true)
        }
        if (verdict !== "unknown") {
          const keys = Arr.takeRight([...row.keys, verdict === "unreachable" ? undefined : key], threshold)
          row = { count: row.count + 1, keys, code: Option.fromNullable(code) }
        }
        const told = Effect.annotateLogs({ error_code: code ?? verdict })
        if (opening !== undefined && opening.probe === permit) {
          return Effect.as(told(afterProbe(opening, verdict, delay)), false)
        }
        if (permit.isProbe || opening !== undefined) return Effect.succeed(false)
        const opens = row.keys.length === threshold && !isOfOneOrder(row.keys)
        return Effect.as(opens ? told(open(delay)) : Effect.void, true)
      }

      const makePermit = (isProbe: boolean): Permit => {
        const permit: Permit = {
          isProbe,
          report: (key, verdict, delay, code) => Effect.suspend(() => report(permit, key, verdict, delay, code)),
          giveBack: () => {
            if (opening?.probe !== permit) return
            opening.probe = undefined
            changed.unsafeOffer(undefined)
          }
        }
        return permit
      }
      const free = makePermit(false)

      const admit = (key: RowKey) =>
        Effect.async<Permit>((resume) => {
          const waiter: Waiter = {
            key,
            admit: (permit) => {
              waiters.delete(waiter)
              resume(Effect.succeed(permit))
            }
          }
          waiters.add(waiter)
          changed.unsafeOffer(undefined)
          return Effect.sync(() => waiters.delete(waiter))
        })

      /** Who comes first and has not been tried since the breaker opened, so that no few orders keep others from it. */
      const nextToTry = ({ tried }: Opening) => {
        const [first] = waiters
        for (const waiter of waiters) if (!tried.has(waiter.key)) return waiter
        return first
      }

      const tryOne = Effect.suspend(() => {
        const next = opening === undefined || opening.probe !== undefined ? undefined : nextToTry(opening)
        if (opening === undefined || next === undefined) return Queue.take(changed)
        const left = opening.due - now()
        if (left > 0) return Effect.timeoutOption(Queue.take(changed), left)
        opening.tried.add(next.key)
        opening.probe = makePermit(true)
        next.admit(opening.probe)
        return Effect.void
      })
      yield* keepRunning("circuit breaker", Effect.forever(tryOne))

      return {
        admit: (key) => Effect.suspend(() => (opening === undefined ? Effect.succeed(free) : admit(key))),
        state: Effect.sync(() => {
          const current = Option.fromNullable(opening)
          return {
            state: opening === undefined ? "closed" : opening.probe === undefined ? "open" : "half_open",
            failures_in_a_row: row.count,
            last_error_code: row.code,
            opened_at: Option.map(current, ({ since }) => since),
            next_probe_at: Option.filterMap(current, (opening) =>
              opening.probe === undefined ? Option.some(nextProbeAt(opening)) : Option.none()
            )
          }
        })
      }
    })
  )
}
