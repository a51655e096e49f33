import { assert, describe } from "@effect/vitest"
import { Effect, Option, TestClock } from "effect"
import { Command } from "../../../src/store/Command.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { at, cancel, insert, write } from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

const forget = (before: number, limit = 100, asOf = before) =>
  Effect.map(write(Command.Forget({ before: at(before), asOf: at(asOf), limit })), ({ results }) => results[0])

const kept = Effect.flatMap(OrdersRepo, (repo) =>
  Effect.gen(function* () {
    const { found } = yield* repo.changes({}, 0, 100)
    return { ids: found.map(({ id }) => id), ...(yield* repo.historyRange) }
  })
)

/** Changes 1 to 5, made at these times. */
const changesAt = (...times: ReadonlyArray<number>) =>
  Effect.forEach(times, (time, index) =>
    Effect.zipRight(TestClock.setTime(time), write(index === 4 ? cancel(1) : insert(index + 1)))
  )

export const forgets = (layer: RepoLayer) =>
  describe("Forget", () => {
    const test = testOf(layer)

    test(
      "removes the oldest changes, a few at a time, and no order",
      Effect.gen(function* () {
        yield* changesAt(1000, 2000, 3000, 4000, 5000)
        assert.deepInclude(yield* forget(1000), { _tag: "Forgotten", count: 0 })
        assert.deepInclude(yield* forget(4000, 2), { count: 2 })
        assert.deepStrictEqual(yield* kept, { ids: [3, 4, 5], from: 3, last: 5 })
        assert.deepInclude(yield* forget(4000, 2), { count: 1 })
        assert.deepInclude(yield* forget(4000, 2), { count: 0 })
        assert.deepStrictEqual(yield* kept, { ids: [4, 5], from: 4, last: 5 })
        const repo = yield* OrdersRepo
        assert.lengthOf((yield* repo.list({}, Option.none(), 100)).found, 4)
      })
    )

    test(
      "removes with old changes those that were committed before them under a clock that was ahead",
      Effect.gen(function* () {
        yield* changesAt(9000, 9000, 2000, 3000, 5000)
        assert.deepInclude(yield* forget(2000, 1, 6000), { count: 0 })
        assert.deepInclude(yield* forget(2001, 1, 6000), { count: 1 })
        assert.deepInclude(yield* forget(2001, 10, 6000), { count: 2 })
        assert.deepStrictEqual(yield* kept, { ids: [4, 5], from: 4, last: 5 })
      })
    )

    test(
      "removes no change for one that was made after it under a clock that was behind",
      Effect.gen(function* () {
        yield* changesAt(5000, 6000, 0, 7000, 8000)
        assert.deepInclude(yield* forget(1000, 100, 9000), { count: 0 })
        assert.deepInclude(yield* forget(5001, 100, 9000), { count: 1 })
        assert.deepInclude(yield* forget(6001, 100, 9000), { count: 2 })
        assert.deepStrictEqual(yield* kept, { ids: [4, 5], from: 4, last: 5 })
      })
    )

    test(
      "remembers what time it was, also where it removes nothing",
      Effect.gen(function* () {
        const { retentionTime } = yield* OrdersRepo
        yield* changesAt(1000)
        yield* forget(0, 1, 9000)
        assert.deepStrictEqual(yield* retentionTime, Option.some(at(9000)))
        yield* forget(2000, 1, 8000)
        assert.deepStrictEqual(yield* retentionTime, Option.some(at(8000)))
      })
    )

    test(
      "has nothing to remove where no change is kept, but what nodes keep for each other",
      Effect.gen(function* () {
        const { nodes } = yield* OrdersRepo
        yield* changesAt(1000, 2000)
        assert.deepStrictEqual(yield* kept, { ids: [], from: 3, last: 2 })
        assert.deepInclude(yield* forget(5000), { count: Option.isSome(nodes) ? 2 : 0 })
        assert.deepStrictEqual(yield* kept, { ids: [], from: 3, last: 2 })
      }),
      { history: Option.none() }
    )
  })
