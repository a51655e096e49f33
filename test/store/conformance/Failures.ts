import { assert } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import {
  at,
  claim,
  failed,
  failures,
  insert,
  postponed,
  record,
  reopen,
  reopenMany,
  same,
  totals,
  write
} from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const failureGroups = (layer: RepoLayer) => {
  const test = testOf(layer)

  test(
    "shows for each code the orders of that code alone, not of one that is almost it",
    Effect.gen(function* () {
      const codes = ["BUSY", "busy", "busy ", "e\u0301", "é"]
      for (const [index, code] of codes.entries()) {
        yield* write(insert(index + 1), claim(index + 1), record(index + 1, 1, failed("no", code), index))
      }
      same(
        (yield* failures).failures,
        codes.map((error_code, index) => ({
          error_code,
          count: 1,
          first_at: at(index),
          last_at: at(index),
          order_ids: [String(index + 1)]
        }))
      )
    })
  )

  test(
    "groups the Failed by error code, the most frequent first",
    Effect.gen(function* () {
      const none = { count: 0, groups: 0 }
      same(yield* failures, { failures: [], other: none })
      yield* write(...Arr.makeBy(12, (index) => insert(index + 1)))
      const ends = [
        [1, "b", 900],
        [2, "b", 300],
        [3, "b", 500],
        [4, "b", 400],
        [5, "b", 600],
        [6, "b", 700],
        [7, "c", 800],
        [8, "a", 100],
        [9, "z", 100],
        [10, "z", 100]
      ] as const
      for (const [key, code, time] of ends) yield* write(claim(key), record(key, 1, failed("no", code), time))
      // Neither is Failed, though both have a last error.
      yield* write(
        claim(11),
        record(11, 1, postponed(9000, "b")),
        claim(12),
        record(12, 1, failed("no", "b")),
        reopen(12)
      )
      const group = (
        error_code: string,
        count: number,
        first: number,
        last: number,
        order_ids: ReadonlyArray<string>
      ) => ({
        error_code,
        count,
        first_at: at(first),
        last_at: at(last),
        order_ids
      })
      same(yield* failures, {
        failures: [
          group("b", 6, 300, 900, ["6", "5", "4", "3", "2"]),
          group("z", 2, 100, 100, ["10", "9"]),
          group("a", 1, 100, 100, ["8"]),
          group("c", 1, 800, 800, ["7"])
        ],
        other: none
      })
      yield* write(reopen(7), reopenMany({ error_code: "b" }, [1, 7]))
      same(
        (yield* failures).failures.map(({ count, error_code }) => [error_code, count]),
        [
          ["b", 5],
          ["z", 2],
          ["a", 1]
        ]
      )
      same((yield* failures).failures[0], group("b", 5, 300, 700, ["6", "5", "4", "3", "2"]))
      yield* write(reopenMany())
      same(yield* failures, { failures: [], other: none })
    })
  )

  test(
    "counts the Failed of codes beyond the hundred most frequent, so that all add up",
    Effect.gen(function* () {
      const codeOf = (key: number) => `code-${key % 155}`
      yield* write(...Arr.map(Arr.range(1, 207), (key) => insert(key)))
      yield* write(...Arr.map(Arr.range(1, 207), claim))
      yield* write(...Arr.map(Arr.range(1, 207), (key) => record(key, 1, failed("no", codeOf(key)), 1)))
      const { failures: shown, other } = yield* failures
      assert.strictEqual(shown.length, 100)
      assert.deepStrictEqual({ ...other }, { count: 55, groups: 55 })
      assert.strictEqual(
        shown.reduce((sum, { count }) => sum + count, other.count),
        (yield* totals).Failed
      )
      yield* write(reopenMany({}, Arr.range(1, 155)))
      const { failures: left, other: none } = yield* failures
      assert.deepStrictEqual([left.length, { ...none }], [52, { count: 0, groups: 0 }])
    })
  )

  // Releases and probes
}
