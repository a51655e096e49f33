import { assert, it } from "@effect/vitest"
import { Effect, Option, TestClock } from "effect"
import { StorageUnavailable } from "../../src/order/Order.ts"
import { trimming } from "../../src/work/Trimming.ts"

it.scoped("removes what is there in pieces, and goes on behind it a minute later, or once the database is back", () =>
  Effect.gen(function* () {
    let end = 2500
    let isAway = false
    const asked: Array<number> = []
    yield* trimming({
      trim: (after) =>
        Effect.suspend(() => {
          asked.push(after)
          if (isAway) return new StorageUnavailable()
          return Effect.succeed(Option.liftPredicate(Math.min(end, after + 1000), (last) => last > after))
        })
    })
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(asked, [0, 1000, 2000, 2500])
    end = 2600
    yield* TestClock.adjust("58 seconds")
    assert.lengthOf(asked, 4)
    yield* TestClock.adjust("2 seconds")
    assert.deepStrictEqual(asked.slice(4), [2500, 2600])
    isAway = true
    yield* TestClock.adjust("1 minute")
    isAway = false
    end = 2700
    yield* TestClock.adjust("1 minute")
    assert.deepStrictEqual(asked.slice(6), [2600, 2600, 2700])
  })
)
