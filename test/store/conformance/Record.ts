import { assert } from "@effect/vitest"
import { Array as Arr, Effect, Option, TestClock } from "effect"
import { type Command, Result } from "../../../src/store/Command.ts"
import { noTotals } from "../../../src/store/CommandGroups.ts"
import {
  aChange,
  at,
  byKey,
  cancel,
  changes,
  claim,
  completed,
  failed,
  find,
  insert,
  postponed,
  record,
  recover,
  release,
  released,
  releaseOne,
  reopen,
  reopenMany,
  results,
  same,
  sorted,
  tags,
  totals,
  window,
  write
} from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const records = (layer: RepoLayer) => {
  const test = testOf(layer)

  test(
    "records what a run came to",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), insert(3), claim(1), claim(2), claim(3))
      const found = yield* changes(
        record(2, 1, failed("out of \u0000 \ud800 é"), 4000),
        record(1, 1, completed(Option.some({ receipt: ["\u0000", "\udfff"] })), 2500),
        record(3, 1, completed(), 1000)
      )
      const [one, two, three] = yield* Effect.all([find(1), find(2), find(3)])
      same(
        [one.status, one.finished_at, one.result, one.last_error],
        ["Completed", Option.some(at(2500)), Option.some({ receipt: ["\u0000", "\udfff"] }), Option.none()]
      )
      same(
        [two.status, two.finished_at, two.result, two.last_error],
        ["Failed", Option.some(at(4000)), Option.none(), Option.some(failed("out of \u0000 \ud800 é").error)]
      )
      same(
        [three.status, three.finished_at, three.result, three.last_error],
        ["Completed", Option.some(at(1000)), Option.none(), Option.none()]
      )
      const made = { from: Option.some("Processing"), to: "Completed", reason: "completed" }
      const error = Option.some({ code: "out_of_stock", message: "out of \u0000 \ud800 é" })
      same(byKey(found), [
        aChange({ key: 1, order_id: "1", ...made, at: at(2500), elapsedMillis: 2500 }),
        aChange({
          key: 2,
          order_id: "2",
          ...made,
          to: "Failed",
          reason: "failed",
          error,
          at: at(4000),
          elapsedMillis: 4000
        }),
        aChange({ key: 3, order_id: "3", ...made, at: at(1000), elapsedMillis: 1000 })
      ])
      same(yield* totals, { ...noTotals, Completed: 2, Failed: 1, processingMillis: 3500 })
    })
  )

  test(
    "keeps results of every kind of JSON",
    Effect.gen(function* () {
      for (const [index, result] of [{ a: [1] }, "text", "", 0, false, null, [], 1.5, "3"].entries()) {
        const key = index + 1
        yield* write(insert(key), claim(key), record(key, 1, completed(Option.some(result))))
        assert.deepStrictEqual((yield* find(key)).result, Option.some(result))
      }
    })
  )

  test(
    "records nothing for another run, another state or no order",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), claim(1))
      const before = [yield* find(1), yield* find(2), yield* totals]
      const { commit, results } = yield* write(record(1, 2), record(1, 0, failed()), record(2, 0), record(9, 1))
      same(
        results,
        Arr.makeBy(4, () => Result.Unchanged())
      )
      same(commit, Option.none())
      same([yield* find(1), yield* find(2), yield* totals], before)
    })
  )

  test(
    "records an outcome once",
    Effect.gen(function* () {
      yield* write(insert(1), claim(1))
      assert.deepStrictEqual(yield* tags(record(1, 1, failed("first"))), ["Recorded"])
      const before = yield* find(1)
      assert.deepStrictEqual(yield* tags(record(1, 1, completed(), 9000)), ["Unchanged"])
      same(yield* find(1), before)
    })
  )

  test(
    "records the first of several outcomes in one batch",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), claim(1), claim(2))
      assert.deepStrictEqual(
        yield* tags(record(1, 1, failed("first"), 1000), record(2, 1), record(1, 1, completed(), 2000)),
        ["Recorded", "Recorded", "Unchanged"]
      )
      same((yield* find(1)).last_error, Option.some(failed("first").error))
      same(yield* totals, { ...noTotals, Completed: 1, Failed: 1 })
    })
  )

  test(
    "changes nothing by a late outcome of an earlier run",
    Effect.gen(function* () {
      yield* write(insert(1), claim(1), release)
      assert.deepStrictEqual(yield* tags(record(1, 1)), ["Unchanged"])
      yield* write(claim(1))
      assert.deepStrictEqual(yield* tags(record(1, 1, failed())), ["Unchanged"])
      assert.deepStrictEqual(yield* tags(record(1, 1, failed()), record(1, 2)), ["Unchanged", "Recorded"])
      const order = yield* find(1)
      same([order.status, order.last_error], ["Completed", Option.none()])
    })
  )

  // Clocks that are set back

  test(
    "takes each time from the clock as it is then, but no run ends before it started or is longer than it took",
    Effect.gen(function* () {
      yield* TestClock.setTime(10_000)
      yield* write(insert(1), insert(2))
      yield* TestClock.setTime(4000)
      yield* write(insert(3))
      yield* write(claim(1), claim(2))
      yield* TestClock.setTime(3000)
      yield* write(record(1, 1, completed(), 3000, 20))
      const [one, three] = yield* Effect.all([find(1), find(3)])
      same([one.accepted_at, three.accepted_at], [at(10_000), at(4000)])
      same([one.started_at, one.finished_at], [Option.some(at(3000)), Option.some(at(3000))])
      assert.strictEqual((yield* totals).processingMillis, 20)
      yield* TestClock.setTime(36_000)
      const [change] = yield* changes(record(2, 1, completed(), 36_000, 30))
      assert.strictEqual(change?.elapsedMillis, 30)
      assert.strictEqual((yield* totals).processingMillis, 50)
    })
  )

  test(
    "postpones an order to its next attempt",
    Effect.gen(function* () {
      yield* write(insert(1), claim(1))
      yield* TestClock.setTime(2500)
      const { commit, results } = yield* write(record(1, 1, postponed(6500), 2400))
      same(results, [Result.Recorded()])
      const made = { from: Option.some("Processing"), to: "Pending", reason: "retry_scheduled", at: at(2500) }
      const error = Option.some({ code: "busy", message: "later" })
      same(sorted(commit), {
        changes: [aChange({ key: 1, order_id: "1", ...made, error, next_attempt_at: Option.some(at(9000)) })],
        totals: { ...noTotals, Pending: 1 }
      })
      const order = yield* find(1)
      same(
        { ...order },
        {
          ...order,
          status: "Pending",
          attempts: 1,
          started_at: Option.none(),
          finished_at: Option.none(),
          next_attempt_at: Option.some(at(9000)),
          last_error: Option.some(postponed(0).error),
          result: Option.none()
        }
      )
      same(yield* window(5), { ready: [], nextDueAt: Option.some(9000), more: false })
      assert.deepStrictEqual(yield* tags(record(1, 1), record(1, 1, failed())), ["Unchanged", "Unchanged"])

      yield* TestClock.setTime(9250)
      const [again] = yield* changes(claim(1))
      same([again?.elapsedMillis, again?.attempt], [250, 2])
      const processing = yield* find(1)
      same(
        [processing.next_attempt_at, processing.last_error, processing.started_at],
        [Option.none(), Option.some(postponed(0).error), Option.some(at(9250))]
      )
      assert.deepStrictEqual(yield* tags(record(1, 1), record(1, 2, completed(), 9300, 50)), ["Unchanged", "Recorded"])
      same((yield* find(1)).last_error, Option.none())
      same(yield* totals, { ...noTotals, Completed: 1, processingMillis: 50 })
    })
  )

  test(
    "settles outcomes of every kind in one batch",
    Effect.gen(function* () {
      yield* write(...Arr.map(Arr.range(1, 5), (id) => insert(id)), ...Arr.range(1, 5).map(claim))
      yield* write(
        record(1, 1, released()),
        record(2, 1, postponed(100)),
        record(3, 1, released(200)),
        record(4, 1, failed()),
        record(5, 1),
        record(1, 1)
      )
      const orders = yield* Effect.forEach(Arr.range(1, 5), (id) => find(id))
      same(
        orders.map(({ attempts, last_error, status }) => [status, attempts, Option.isSome(last_error)]),
        [
          ["Pending", 0, false],
          ["Pending", 1, true],
          ["Pending", 0, false],
          ["Failed", 1, true],
          ["Completed", 1, false]
        ]
      )
      same(yield* totals, { ...noTotals, Pending: 3, Failed: 1, Completed: 1 })
    })
  )

  // Rounds and traces

  test(
    "counts as a round each time that someone asks for an order, and nothing else",
    Effect.gen(function* () {
      const round = (...before: ReadonlyArray<Command>) =>
        Effect.gen(function* () {
          for (const command of before) yield* write(command)
          const [result] = yield* results(claim(1))
          return result?._tag === "Claimed" ? [result.claim.round, result.claim.run] : []
        })
      yield* write(insert(1))
      assert.deepStrictEqual(yield* round(), [1, 1])
      assert.deepStrictEqual(yield* round(record(1, 1, released(0))), [1, 2])
      assert.deepStrictEqual(yield* round(record(1, 2, postponed(0))), [1, 3])
      assert.deepStrictEqual(yield* round(release), [1, 4])
      assert.deepStrictEqual(yield* round(releaseOne(1)), [1, 5])
      assert.deepStrictEqual(yield* round(recover()), [1, 6])
      assert.deepStrictEqual(yield* round(recover(), insert(1)), [1, 7])
      assert.deepStrictEqual(yield* round(record(1, 7, failed()), reopen(1)), [2, 8])
      // Neither a retry of what is not final, nor one of other orders.
      assert.deepStrictEqual(yield* round(reopen(1), reopenMany(), releaseOne(1)), [2, 9])
      assert.deepStrictEqual(yield* round(record(1, 9, failed()), reopenMany({}, [2]), reopenMany({}, [1])), [3, 10])
      assert.deepStrictEqual(yield* round(cancel(1), reopen(1), cancel(1), reopen(1)), [5, 11])
      assert.deepStrictEqual(yield* round(record(1, 11, postponed(0))), [5, 12])
    })
  )
}
