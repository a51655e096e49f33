import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, TestClock } from "effect"
import { RowKey } from "../../src/order/OrderChange.ts"
import { type Claim, type Command, Result } from "../../src/store/Command.ts"
import { GroupCommit } from "../../src/store/GroupCommit.ts"
import type { Job } from "../../src/store/Job.ts"
import { CircuitBreaker } from "../../src/work/CircuitBreaker.ts"
import { makeClaiming } from "../../src/work/Claiming.ts"
import { OrderProcessor } from "../../src/work/OrderProcessor.ts"
import type { Permit } from "../../src/work/Permit.ts"

const key = RowKey(1)
const job: Job = { key, round: 1, run: 0, lane: "open", delivery: 0 }
const ofNodes = { key, job: Option.some(job) }
const alone = { key, job: Option.none() }

/** Claims before a processor, or a breaker, which the test lets go on. */
const make = Effect.gen(function* () {
  const claims: Array<Command> = []
  const counts = { interrupted: 0, permits: 0 }
  const ready = yield* Deferred.make<void>()
  const admitted = yield* Deferred.make<void>()
  const permit: Permit = {
    isProbe: false,
    report: () => Effect.succeed(true),
    giveBack: () => {
      counts.permits -= 1
    }
  }
  const write = (command: Command) => {
    claims.push(command)
    return Effect.succeed(Result.Claimed({ claim: { key, run: 1 } as Claim }))
  }
  const interrupted = Effect.onInterrupt(() =>
    Effect.sync(() => {
      counts.interrupted += 1
    })
  )
  const { claimDue } = yield* Effect.provide(
    makeClaiming(() => false),
    Layer.mergeAll(
      Layer.mock(GroupCommit, { write: (command) => write(command) as never }),
      Layer.mock(OrderProcessor, { ready: interrupted(Deferred.await(ready)) }),
      Layer.mock(CircuitBreaker, {
        admit: () =>
          interrupted(
            Effect.map(Deferred.await(admitted), () => {
              counts.permits += 1
              return permit
            })
          )
      })
    )
  )
  const open = (deferred: Deferred.Deferred<void>) => Deferred.succeed(deferred, undefined)
  return { claimDue, claims, counts, letAdmit: open(admitted), letReady: open(ready) }
})

describe("A claim", () => {
  for (const [what, letOne] of [
    ["processor", "letAdmit"],
    ["breaker", "letReady"]
  ] as const) {
    it.effect(`waits five seconds for the ${what} where other nodes may have the order`, () =>
      Effect.gen(function* () {
        const claiming = yield* make
        yield* claiming[letOne]
        const claim = yield* Effect.fork(claiming.claimDue(ofNodes))
        yield* TestClock.adjust("4999 millis")
        assert.isTrue(Option.isNone(yield* Fiber.poll(claim)))
        yield* TestClock.adjust("1 millis")
        assert.isTrue(Option.isNone(yield* Fiber.join(claim)))
        assert.deepStrictEqual([claiming.claims, claiming.counts], [[], { interrupted: 1, permits: 0 }])
      })
    )

    it.effect(`waits for the ${what} as long as it takes where the order is this process's`, () =>
      Effect.gen(function* () {
        const claiming = yield* make
        yield* claiming[letOne]
        const claim = yield* Effect.fork(claiming.claimDue(alone))
        yield* TestClock.adjust("1 hour")
        assert.isTrue(Option.isNone(yield* Fiber.poll(claim)))
        yield* Effect.zipRight(claiming.letReady, claiming.letAdmit)
        assert.isTrue(Option.isSome(yield* Fiber.join(claim)))
        assert.lengthOf(claiming.claims, 1)
      })
    )
  }

  it.effect("is made once both are there, within that time", () =>
    Effect.gen(function* () {
      const { claimDue, claims, counts, letAdmit, letReady } = yield* make
      const claim = yield* Effect.fork(claimDue(ofNodes))
      yield* TestClock.adjust("3 seconds")
      yield* letReady
      yield* TestClock.adjust("1 second")
      yield* letAdmit
      assert.isTrue(Option.isSome(yield* Fiber.join(claim)))
      assert.deepStrictEqual([claims.length, counts], [1, { interrupted: 0, permits: 1 }])
    })
  )

  it.effect("is given up when its worker ends", () =>
    Effect.gen(function* () {
      const { claimDue, claims, counts } = yield* make
      const claim = yield* Effect.fork(Effect.uninterruptible(claimDue(ofNodes)))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(claim)
      assert.deepStrictEqual([claims, counts], [[], { interrupted: 1, permits: 0 }])
    })
  )
})
