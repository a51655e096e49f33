import { Context, DateTime, Duration, Effect, Layer, Option, Queue } from "effect"
import { keepRunning } from "../KeepRunning.ts"
import { leastJump, monotonicMillis } from "../MonotonicClock.ts"
import { Metrics } from "../observe/Metrics.ts"
import type { RowKey } from "../order/OrderChange.ts"
import { type Breaker, BreakerEvent, closed, type Moment, Notice, step, type Verdict } from "./Breaker.ts"

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

interface Waiter {
  readonly key: RowKey
  readonly admit: (permit: Permit) => void
}

/** In whole seconds, as the log has it. */
const seconds = (millis: number) => Math.round(millis / 1000)

const say = Notice.$match({
  Opened: ({ failures, probeIn }) =>
    Effect.logWarning(
      `The processor failed ${failures} times in a row: the breaker is open, orders wait; one is tried in ${seconds(probeIn)} s`
    ),
  StillOpen: ({ probeIn, verdict }) => {
    const found =
      verdict === "unknown" ? "The order that was tried says nothing of the processor" : "The processor is still down"
    return Effect.logInfo(`${found}; the next order is tried in ${seconds(probeIn)} s`)
  },
  Closed: ({ openFor, why }) =>
    Effect.logInfo(
      `${why === "answered" ? "The processor is back" : "One order alone fails"}: the breaker is closed after ` +
        `${seconds(openFor)} s, orders are processed again`
    )
})

/**
 * Stands in front of the processor, and parks the orders while it is at fault: orders wait instead of using up their
 * attempts. See "Circuit Breaker" in M. Nygard, Release It!, 2007. When it opens and closes is in `Breaker.ts`.
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

      let breaker: Breaker = closed
      let probes = 0
      const waiters = new Set<Waiter>()
      const changed = yield* Queue.sliding<void>(1)

      const moment = (): Moment => ({
        monotonic: now(),
        wall: DateTime.unsafeMake(clock.unsafeCurrentTimeMillis())
      })

      /** What follows from an event: the new state at once, and what the log says of it. */
      const apply = (event: BreakerEvent) => {
        const before = breaker
        const after = step(before, event, moment)
        breaker = after.breaker
        if (breaker._tag !== before._tag) {
          metrics.breakerOpen(breaker._tag === "Open")
          if (breaker._tag === "Closed") for (const waiter of waiters) waiter.admit(free)
        }
        if (breaker !== before) changed.unsafeOffer(undefined)
        return after
      }

      const makePermit = (probe: Option.Option<number>): Permit => ({
        isProbe: Option.isSome(probe),
        report: (key, verdict, delay = Duration.zero, code) =>
          Effect.suspend(() => {
            const { counts, notice } = apply(
              BreakerEvent.Ended({
                key,
                verdict,
                delay: Duration.toMillis(delay),
                code: Option.fromNullable(code),
                probe
              })
            )
            return Option.match(notice, {
              onNone: () => Effect.succeed(counts),
              onSome: (notice) => {
                const said =
                  verdict === "available"
                    ? say(notice)
                    : Effect.annotateLogs(say(notice), { error_code: code ?? verdict })
                return Effect.as(said, counts)
              }
            })
          }),
        giveBack: () => {
          if (Option.isSome(probe)) apply(BreakerEvent.GivenBack({ probe: probe.value }))
        }
      })
      const free = makePermit(Option.none())

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

      /** The first waiter that has not been tried since the breaker opened; the first of all if each has. */
      const nextToTry = (tried: ReadonlySet<RowKey>) => {
        const [first] = waiters
        for (const waiter of waiters) if (!tried.has(waiter.key)) return waiter
        return first
      }

      const tryOne = Effect.suspend(() => {
        if (breaker._tag === "Closed" || Option.isSome(breaker.probe)) return Queue.take(changed)
        const next = nextToTry(breaker.tried)
        if (next === undefined) return Queue.take(changed)
        const left = breaker.due.monotonic - now()
        if (left > 0) return Effect.timeoutOption(Queue.take(changed), left)
        probes += 1
        apply(BreakerEvent.Tried({ key: next.key, probe: probes }))
        next.admit(makePermit(Option.some(probes)))
        return Effect.void
      })
      yield* keepRunning("circuit breaker", Effect.forever(tryOne))

      /** As it was worked out, so that it is the same each time it is shown, unless the clock was set since. */
      const probeAt = (due: Moment) => {
        const { monotonic, wall } = moment()
        const byNow = DateTime.add(wall, { millis: due.monotonic - monotonic })
        return Math.abs(DateTime.distance(due.wall, byNow)) < leastJump ? due.wall : byNow
      }

      return {
        admit: (key) => Effect.suspend(() => (breaker._tag === "Closed" ? Effect.succeed(free) : admit(key))),
        state: Effect.sync((): BreakerState => {
          const common = { failures_in_a_row: breaker.streak.count, last_error_code: breaker.streak.code }
          if (breaker._tag === "Closed") {
            return { ...common, state: "closed", opened_at: Option.none(), next_probe_at: Option.none() }
          }
          const { due, openedAt, probe } = breaker
          const opened_at = Option.some(openedAt.wall)
          return Option.isSome(probe)
            ? { ...common, state: "half_open", opened_at, next_probe_at: Option.none() }
            : { ...common, state: "open", opened_at, next_probe_at: Option.some(probeAt(due)) }
        })
      }
    })
  )
}
