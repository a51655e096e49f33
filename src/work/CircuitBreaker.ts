import { Context, DateTime, Effect, Layer, Option } from "effect"
import { keepRunning } from "../KeepRunning.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { Metrics } from "../observe/Metrics.ts"
import type { RowKey } from "../order/OrderChange.ts"
import { type Breaker, type BreakerEvent, closed, type Moment, step } from "./Breaker.ts"
import { makeLine, makeTryNext } from "./BreakerLine.ts"
import { type BreakerState, stateOf } from "./BreakerState.ts"
import { makePermit, type Permit } from "./Permit.ts"

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
      const line = yield* makeLine
      let breaker: Breaker = closed

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
          if (breaker._tag === "Closed") line.admitAll(free)
        }
        if (breaker !== before) line.wake()
        return after
      }
      const free = makePermit(apply, Option.none())

      const tryNext = makeTryNext(line, {
        current: () => breaker,
        apply,
        now,
        permitOf: (probe) => makePermit(apply, Option.some(probe))
      })
      yield* keepRunning("circuit breaker", Effect.forever(tryNext))

      return {
        admit: (key) => Effect.suspend(() => (breaker._tag === "Closed" ? Effect.succeed(free) : line.join(key))),
        state: Effect.sync(() => stateOf(breaker, moment()))
      }
    })
  )
}
