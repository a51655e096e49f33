import { assert } from "@effect/vitest"
import { Effect, Option, TestClock } from "effect"
import { Result } from "../../../src/store/Command.ts"
import { noTotals } from "../../../src/store/CommandGroups.ts"
import {
  aChange,
  at,
  cancel,
  claim,
  find,
  insert,
  oneOfEach,
  record,
  recover,
  releaseOne,
  results,
  same,
  sorted,
  tags,
  totals,
  window,
  write
} from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const cancels = (layer: RepoLayer) => {
  const test = testOf(layer)

  test(
    "cancels what is Pending or Processing, and nothing else",
    Effect.gen(function* () {
      yield* oneOfEach
      yield* TestClock.setTime(3000)
      for (const [key, id, from, attempt] of [
        [1, "new", "Pending", 0],
        [2, "retried", "Pending", 1],
        [3, "processing", "Processing", 1]
      ] as const) {
        const before = yield* find(id)
        const { commit, results } = yield* write(cancel(id))
        const order = yield* find(id)
        same(results, [Result.Acted({ order, changed: true })])
        same(
          { ...order },
          {
            ...before,
            status: "Cancelled",
            next_attempt_at: Option.none(),
            finished_at: Option.some(at(3000))
          }
        )
        const made = { from: Option.some(from), to: "Cancelled", reason: "cancelled", run: attempt, attempt }
        same(sorted(commit).changes, [aChange({ key, order_id: id, ...made, at: at(3000) })])
      }
      same(yield* totals, { ...noTotals, Completed: 1, Failed: 1, Cancelled: 4, processingMillis: 100 })
      for (const id of ["completed", "failed", "cancelled", "new"]) {
        const order = yield* find(id)
        same(yield* write(cancel(id)), { results: [Result.Acted({ order, changed: false })], commit: Option.none() })
        same(yield* find(id), order)
      }
      same(yield* write(cancel("other")), { results: [Result.Missing()], commit: Option.none() })
      // The attempt that was running comes too late, and what waited is not worked.
      assert.deepStrictEqual(yield* tags(record(3, 1), claim(1), claim(2), claim(3), releaseOne(3), recover()), [
        "Unchanged",
        "Unchanged",
        "Unchanged",
        "Unchanged",
        "Released",
        "Recovered"
      ])
      assert.strictEqual((yield* find("processing")).status, "Cancelled")
      yield* TestClock.setTime(9000)
      same(yield* window(9), { ready: [], nextDueAt: Option.none(), more: false })
    })
  )

  test(
    "settles a cancel and an outcome of one batch in the order they came",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), claim(1), claim(2))
      const [one, two, three, four] = yield* results(cancel(1), record(1, 1), record(2, 1), cancel(2))
      assert.deepStrictEqual(
        [one?._tag === "Acted" && one.changed, two?._tag, three?._tag, four?._tag === "Acted" && four.changed],
        [true, "Unchanged", "Recorded", false]
      )
      assert.deepStrictEqual([(yield* find(1)).status, (yield* find(2)).status], ["Cancelled", "Completed"])
      assert.strictEqual(four?._tag === "Acted" && four.order.status, "Completed")
    })
  )

  test(
    "lets no order be cancelled before it started, when the clock was set back, nor at a time still to come",
    Effect.gen(function* () {
      yield* TestClock.setTime(5000)
      yield* write(insert(1), insert(2))
      yield* TestClock.setTime(8000)
      yield* write(claim(2))
      yield* TestClock.setTime(4000)
      yield* write(cancel(1), cancel(2))
      const [one, two] = yield* Effect.all([find(1), find(2)])
      same([one.finished_at, one.started_at], [Option.some(at(4000)), Option.none()])
      same([two.finished_at, two.started_at], [Option.some(at(4000)), Option.some(at(4000))])
    })
  )
}
