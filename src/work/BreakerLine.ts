import { Effect, Option, Queue } from "effect"
import type { RowKey } from "../order/OrderChange.ts"
import { type Breaker, BreakerEvent } from "./Breaker.ts"
import type { Permit } from "./Permit.ts"

interface Waiter {
  readonly key: RowKey
  readonly admit: (permit: Permit) => void
}

/** The orders that wait before an open breaker. */
export const makeLine = Effect.gen(function* () {
  const waiters = new Set<Waiter>()
  const changed = yield* Queue.sliding<void>(1)
  return {
    /** Waits until that order is admitted. */
    join: (key: RowKey) =>
      Effect.async<Permit>((resume) => {
        let given: Permit | undefined
        const waiter: Waiter = {
          key,
          admit: (permit) => {
            given = permit
            waiters.delete(waiter)
            resume(Effect.succeed(permit))
          }
        }
        waiters.add(waiter)
        changed.unsafeOffer(undefined)
        // An interruption may come between the permit and the fiber that waits for it.
        return Effect.sync(() => {
          waiters.delete(waiter)
          given?.giveBack()
        })
      }),
    admitAll: (permit: Permit) => {
      for (const waiter of waiters) waiter.admit(permit)
    },
    /** The first waiter that has not been tried since the breaker opened; the first of all if each has. */
    nextToTry: (tried: ReadonlySet<RowKey>) => {
      const [first] = waiters
      for (const waiter of waiters) if (!tried.has(waiter.key)) return waiter
      return first
    },
    /** Says that it is to be looked at anew whether an order can be tried. */
    wake: () => changed.unsafeOffer(undefined),
    /** Waits for one that joins, or `wake`. */
    changed: Queue.take(changed)
  }
})

type Line = Effect.Effect.Success<typeof makeLine>

/** Waits until something changes, or tries an order of the line as a probe, once the breaker is due for one. */
export const makeTryNext = (
  line: Line,
  breaker: {
    readonly current: () => Breaker
    readonly apply: (event: BreakerEvent) => void
    readonly now: () => number
    readonly permitOf: (probe: number) => Permit
  }
) => {
  let probes = 0
  return Effect.suspend(() => {
    const current = breaker.current()
    if (current._tag === "Closed" || Option.isSome(current.probe)) return line.changed
    const next = line.nextToTry(current.tried)
    if (next === undefined) return line.changed
    const left = current.due.monotonic - breaker.now()
    if (left > 0) return Effect.timeoutOption(line.changed, left)
    probes += 1
    breaker.apply(BreakerEvent.Tried({ key: next.key, probe: probes }))
    next.admit(breaker.permitOf(probes))
    return Effect.void
  })
}
