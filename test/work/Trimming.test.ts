import { assert, it } from "@effect/vitest"
import { Effect, Option, TestClock } from "effect"
import { trimming } from "../../src/work/Trimming.ts"

it.scoped("removes what is there in pieces, and a minute later goes on behind it", () =>
  Effect.gen(function* () {
    let end = 2500
    const asked: Array<number> = []
    yield* trimming({
      trim: (after) =>
        Effect.sync(() => {
          asked.push(after)
          return Option.liftPredicate(Math.min(end, after + 1000), (last) => last > after)
        })
    })
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(asked, [0, 1000, 2000, 2500])
    end = 2600
    yield* TestClock.adjust("58 seconds")
    assert.lengthOf(asked, 4)
    yield* TestClock.adjust("2 seconds")
    assert.deepStrictEqual(asked.slice(4), [2500, 2600])
  })
)
