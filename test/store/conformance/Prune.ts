import { assert, describe } from "@effect/vitest"
import { Effect, Option, TestClock } from "effect"
import { OrderId } from "../../../src/order/Order.ts"
import { fingerprint } from "../../../src/order/OrderContent.ts"
import { Command } from "../../../src/store/Command.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { at, cancel, claim, completed, failed, insert, record, reopen, tags, write } from "../../support/RepoKit.ts"
import { newOrder } from "../../support/TestLayers.ts"
import { type RepoLayer, testOf } from "./Test.ts"

const id = (order: number) => OrderId.make(String(order))

/** Orders 1 to 5, accepted at 0: Completed, Failed, Cancelled, Pending, Processing; final at 1000. */
const finalAndNot = Effect.gen(function* () {
  yield* write(insert(1), insert(2), insert(3), insert(4), insert(5))
  yield* write(claim(1), claim(2), claim(5))
  yield* TestClock.setTime(1000)
  yield* write(record(1, 1, completed(), 1000), record(2, 1, failed(), 1000), cancel(3))
})

const prune = (before: number, limit = 100, asOf = before) =>
  Effect.map(write(Command.Prune({ before: at(before), asOf: at(asOf), limit })), ({ results }) => results[0])

const kept = Effect.flatMap(OrdersRepo, (repo) =>
  Effect.map(repo.list({}, Option.none(), 100), ({ found }) => found.map(({ order }) => Number(order.order_id)).sort())
)

export const prunes = (layer: RepoLayer) =>
  describe("Prune", () => {
    const test = testOf(layer)

    test(
      "leaves free the ids that differ from one that it removed in the case of a letter",
      Effect.gen(function* () {
        yield* write(insert("old"), cancel("old"))
        yield* prune(1)
        assert.deepStrictEqual(yield* tags(insert("Old"), insert("old"), insert("OLD")), [
          "Inserted",
          "Gone",
          "Inserted"
        ])
      })
    )

    test(
      "removes what is Completed or Cancelled and was so before, and nothing else",
      Effect.gen(function* () {
        yield* finalAndNot
        assert.propertyVal(yield* prune(1000), "count", 0)
        assert.deepStrictEqual(yield* kept, [1, 2, 3, 4, 5])
        assert.propertyVal(yield* prune(1001), "count", 2)
        assert.deepStrictEqual(yield* kept, [2, 4, 5])
        const repo = yield* OrdersRepo
        assert.isTrue(Option.isNone(yield* repo.find(id(1))))
        assert.deepStrictEqual(
          yield* repo.findPruned(id(1)),
          Option.some({
            order_id: id(1),
            fingerprint: fingerprint(newOrder(1)),
            status: "Completed",
            finished_at: at(1000)
          })
        )
        assert.isTrue(Option.isNone(yield* repo.findPruned(id(2))))
      })
    )

    test(
      "keeps the totals",
      Effect.gen(function* () {
        yield* finalAndNot
        const repo = yield* OrdersRepo
        const before = yield* repo.totals
        const { commit } = yield* write(Command.Prune({ before: at(5000), asOf: at(5000), limit: 100 }))
        assert.isTrue(Option.isNone(commit))
        assert.deepStrictEqual(yield* repo.totals, before)
      })
    )

    test(
      "removes a few at a time, those first that were final first, whenever they were accepted",
      Effect.gen(function* () {
        // Accepted under a clock that was ahead, which does not keep them.
        yield* TestClock.setTime(10_000)
        yield* write(insert(1), insert(2), insert(3))
        for (const [key, at] of [
          [2, 1000],
          [3, 2000],
          [1, 3000]
        ] as const) {
          yield* TestClock.setTime(at)
          yield* write(cancel(key))
        }
        assert.deepInclude(yield* prune(3000, 1), { _tag: "Pruned", count: 1 })
        assert.deepStrictEqual(yield* kept, [1, 3])
        assert.deepInclude(yield* prune(3000, 2), { count: 1 })
        assert.deepStrictEqual(yield* kept, [1])
        assert.deepInclude(yield* prune(3000, 2), { count: 0 })
        assert.deepInclude(yield* prune(3001, 2), { count: 1 })
      })
    )

    test(
      "remembers what time it was; before the first time, when the newest order was accepted",
      Effect.gen(function* () {
        const { retentionTime } = yield* OrdersRepo
        assert.deepStrictEqual(yield* retentionTime, Option.none())
        yield* TestClock.setTime(7000)
        yield* write(insert(1))
        yield* TestClock.setTime(5000)
        yield* write(insert(2))
        assert.deepStrictEqual(yield* retentionTime, Option.some(at(5000)))
        yield* prune(0, 1, 9000)
        assert.deepStrictEqual(yield* retentionTime, Option.some(at(9000)))
        yield* prune(0, 1, 8000)
        assert.deepStrictEqual(yield* retentionTime, Option.some(at(8000)))
      })
    )

    test(
      "an order of a pruned id is not stored again, and new orders get new keys",
      Effect.gen(function* () {
        yield* write(insert(1))
        yield* write(cancel(1))
        yield* prune(5000)
        const { commit, results } = yield* write(insert(1), insert(2))
        assert.deepStrictEqual(
          results.map((result) => result._tag),
          ["Gone", "Inserted"]
        )
        assert.deepStrictEqual(
          Option.getOrThrow(commit).changes.map((change) => change.key),
          [2]
        )
        for (const command of [cancel(1), reopen(1)]) {
          assert.strictEqual((yield* write(command)).results[0]?._tag, "Missing")
        }
      })
    )
  })
