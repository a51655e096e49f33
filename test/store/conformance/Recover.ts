import { assert } from "@effect/vitest"
import { Effect, Option, TestClock } from "effect"
import { Result, workerLost } from "../../../src/store/Command.ts"
import { noTotals } from "../../../src/store/CommandGroups.ts"
import {
  aChange,
  at,
  claim,
  find,
  insert,
  postponed,
  record,
  recover,
  release,
  reopen,
  same,
  sorted,
  tags,
  window,
  write
} from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const recovers = (layer: RepoLayer) => {
  const test = testOf(layer)

  test(
    "puts what was lost back as a counted attempt, and from the second loss in the suspects' lane",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), insert(3), claim(1), claim(2), claim(3), record(3, 1))
      yield* TestClock.setTime(4000)
      const { commit, results } = yield* write(recover())
      same(results, [Result.Recovered({ pending: 2, failed: 0 })])
      const made = { from: Option.some("Processing"), to: "Pending", reason: "lost", at: at(4000) }
      const lost = { ...made, error: Option.some(workerLost) }
      same(sorted(commit), {
        changes: [aChange({ key: 1, order_id: "1", ...lost }), aChange({ key: 2, order_id: "2", ...lost })],
        totals: { ...noTotals, Pending: 2, Completed: 1 }
      })
      const order = yield* find(1)
      same(
        [order.status, order.attempts, order.started_at, order.next_attempt_at],
        ["Pending", 1, Option.none(), Option.none()]
      )
      const error = yield* order.last_error
      same([error.code, error.attempt, error.at], ["worker_lost", 1, at(4000)])
      same([(yield* window(9)).ready, (yield* window(9, "suspect")).ready], [[1, 2], []])

      yield* write(claim(2), recover())
      same([(yield* window(9)).ready, (yield* window(9, "suspect")).ready], [[1], [2]])
      assert.strictEqual((yield* find(2)).attempts, 2)
      same(yield* write(recover()), { results: [Result.Recovered({ pending: 0, failed: 0 })], commit: Option.none() })

      // A suspect stays one, whatever its later runs come to.
      yield* write(claim(2), record(2, 3, postponed(1000)))
      same(yield* window(9, "suspect"), { ready: [], nextDueAt: Option.some(5000), more: false })
      yield* TestClock.setTime(5000)
      yield* write(claim(2), release)
      same(yield* window(1, "suspect"), { ready: [2], nextDueAt: Option.none(), more: true })
      same((yield* window(9)).ready, [1])
    })
  )

  test(
    "ends as worker_lost only a suspect whose attempts are used up",
    Effect.gen(function* () {
      const lose = (maxAttempts: number) => tags(claim(1), recover(maxAttempts))
      yield* write(insert(1))
      // Once and twice lost beside others, whose fault it may have been: no reason to fail, however few attempts.
      for (const attempts of [1, 2]) {
        yield* lose(1)
        const order = yield* find(1)
        same([order.status, order.attempts], ["Pending", attempts])
      }
      // A suspect with attempts left.
      yield* lose(4)
      assert.strictEqual((yield* find(1)).status, "Pending")
      yield* TestClock.setTime(6000)
      yield* write(claim(1))
      yield* TestClock.setTime(6500)
      const { commit, results } = yield* write(recover(4))
      same(results, [Result.Recovered({ pending: 0, failed: 1 })])
      same(
        Option.map(commit, ({ changes, totals }) => [changes.map(({ attempt, to }) => [to, attempt]), totals]),
        Option.some([[["Failed", 4]], { ...noTotals, Failed: 1 }])
      )
      const order = yield* find(1)
      same(
        [order.status, order.attempts, order.started_at, order.finished_at, order.next_attempt_at],
        ["Failed", 4, Option.some(at(6000)), Option.some(at(6500)), Option.none()]
      )
      const error = yield* order.last_error
      same([error.code, error.attempt, error.at], ["worker_lost", 4, at(6500)])
      assert.deepStrictEqual(yield* tags(record(1, 4), claim(1)), ["Unchanged", "Unchanged"])
      same((yield* window(9, "suspect")).ready, [])

      // Asked for again, it is of good standing again.
      yield* write(reopen(1))
      same([(yield* window(9)).ready, (yield* window(9, "suspect")).ready], [[1], []])
      yield* lose(1)
      assert.strictEqual((yield* find(1)).status, "Pending")
    })
  )

  test(
    "a shutdown is no loss",
    Effect.gen(function* () {
      yield* write(insert(1))
      for (let time = 0; time < 5; time++) yield* write(claim(1), release)
      yield* write(claim(1), record(1, 6, postponed(0)), claim(1), recover(1))
      same([(yield* window(9)).ready, (yield* window(9, "suspect")).ready], [[1], []])
    })
  )

  /** One order in each status, by its id; the retried one waits for its second attempt. */
}
