import { assert } from "@effect/vitest"
import { Effect, Option, TestClock } from "effect"
import { Result } from "../../../src/store/Command.ts"
import { noTotals } from "../../../src/store/CommandGroups.ts"
import {
  aChange,
  at,
  claim,
  completed,
  find,
  insert,
  postponed,
  record,
  release,
  released,
  releaseOne,
  results,
  same,
  sorted,
  tags,
  window,
  write
} from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const releases = (layer: RepoLayer) => {
  const test = testOf(layer)

  test(
    "puts an order back as if the run had not been, where it stood in line",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), insert(3), claim(2), record(2, 1, postponed(0)))
      const before = yield* find(2)
      yield* write(claim(2))
      yield* TestClock.setTime(3000)
      const { commit, results: recorded } = yield* write(record(2, 2, released(), 2500))
      same(recorded, [Result.Recorded()])
      const made = { from: Option.some("Processing"), to: "Pending", reason: "put_back", run: 2, at: at(3000) }
      same(sorted(commit), {
        changes: [aChange({ key: 2, order_id: "2", ...made })],
        totals: { ...noTotals, Pending: 3 }
      })
      same({ ...(yield* find(2)) }, { ...before })
      same([before.attempts, before.last_error], [1, Option.some(postponed(0).error)])
      same(yield* window(9), { ready: [1, 2, 3], nextDueAt: Option.none(), more: false })
      assert.deepStrictEqual(yield* tags(record(2, 2), record(2, 2, released())), ["Unchanged", "Unchanged"])
      const [again] = yield* results(claim(2))
      same(again?._tag === "Claimed" && [again.claim.run, again.claim.attempt], [3, 2])
      // Only the run that is on can be put back.
      assert.deepStrictEqual(
        yield* tags(record(2, 2, released()), record(1, 0, released()), record(9, 1, released())),
        ["Unchanged", "Unchanged", "Unchanged"]
      )
      assert.strictEqual((yield* find(2)).status, "Processing")
    })
  )

  test(
    "puts an order back to a later time",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), insert(3), claim(1), claim(2))
      yield* TestClock.setTime(3000)
      yield* write(record(1, 1, released(0), 3000), record(2, 1, released(2000), 3000))
      for (const [id, dueAt] of [
        [1, Option.none()],
        [2, Option.some(at(5000))]
      ] as const) {
        const order = yield* find(id)
        same(
          [order.status, order.attempts, order.last_error, order.started_at, order.finished_at],
          ["Pending", 0, Option.none(), Option.none(), Option.none()]
        )
        same(order.next_attempt_at, dueAt)
      }
      same(yield* window(9), { ready: [3, 1], nextDueAt: Option.some(5000), more: false })
      // Put back without a time, it stands where it stood in line.
      yield* TestClock.setTime(6000)
      yield* write(claim(2), record(2, 2, released()))
      same((yield* find(2)).next_attempt_at, Option.some(at(5000)))
      same(yield* window(9), { ready: [3, 1, 2], nextDueAt: Option.none(), more: false })
      yield* write(claim(2), record(2, 3, completed(Option.some("done"))))
      const order = yield* find(2)
      same([order.status, order.attempts, order.result], ["Completed", 1, Option.some("done")])
    })
  )

  test(
    "puts back all that is processing",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), insert(3), claim(1), claim(2), claim(3), record(2, 1))
      yield* TestClock.setTime(8000)
      const { commit, results } = yield* write(release)
      same(results, [Result.Released({ count: 2 })])
      const made = { from: Option.some("Processing"), to: "Pending", reason: "put_back", attempt: 0, at: at(8000) }
      same(sorted(commit), {
        changes: [aChange({ key: 1, order_id: "1", ...made }), aChange({ key: 3, order_id: "3", ...made })],
        totals: { ...noTotals, Pending: 2, Completed: 1 }
      })
      const order = yield* find(1)
      same(
        [order.status, order.attempts, order.started_at, order.next_attempt_at],
        ["Pending", 0, Option.none(), Option.none()]
      )
      const again = yield* write(release, release)
      same(again, { results: [Result.Released({ count: 0 }), Result.Released({ count: 0 })], commit: Option.none() })
    })
  )

  test(
    "puts back one order, if it is processing",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), insert(3), claim(1), claim(2), claim(3), record(3, 1))
      const { commit, results } = yield* write(releaseOne(2), releaseOne(2), releaseOne(3), releaseOne(9))
      same(
        results,
        [1, 0, 0, 0].map((count) => Result.Released({ count }))
      )
      same(
        sorted(commit).changes.map(({ attempt, key, to }) => [key, to, attempt]),
        [[2, "Pending", 0]]
      )
      const [one, two, three] = yield* Effect.all([find(1), find(2), find(3)])
      assert.deepStrictEqual([one.status, two.status, three.status], ["Processing", "Pending", "Completed"])
      assert.deepStrictEqual(yield* tags(claim(2), record(2, 1), record(2, 2)), ["Claimed", "Unchanged", "Recorded"])
    })
  )
}
