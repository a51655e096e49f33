import { assert } from "@effect/vitest"
import { Array as Arr, Effect, Option, TestClock } from "effect"
import { type Filter, Result } from "../../../src/store/Command.ts"
import {
  aChange,
  at,
  cancel,
  claim,
  failed,
  find,
  insert,
  keyRange,
  oneOfEach,
  record,
  releaseOne,
  reopen,
  reopenable,
  reopenMany,
  results,
  same,
  sorted,
  tags,
  window,
  write
} from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const reopens = (layer: RepoLayer) => {
  const test = testOf(layer)

  test(
    "reopens what is Failed or Cancelled, with a fresh set of attempts and the next run, and nothing else",
    Effect.gen(function* () {
      yield* oneOfEach
      yield* write(claim(2), cancel("retried"))
      yield* TestClock.setTime(3000)
      for (const [key, id, from, run] of [
        [2, "retried", "Cancelled", 3],
        [5, "failed", "Failed", 2],
        [6, "cancelled", "Cancelled", 1]
      ] as const) {
        const before = yield* find(id)
        const { commit, results: acted } = yield* write(reopen(id))
        const order = yield* find(id)
        same(acted, [Result.Acted({ order, changed: true })])
        same(
          { ...order },
          {
            ...before,
            status: "Pending",
            attempts: 0,
            started_at: Option.none(),
            finished_at: Option.none(),
            next_attempt_at: Option.some(at(3000)),
            result: Option.none()
          }
        )
        const made = {
          from: Option.some(from),
          to: "Pending",
          reason: "retried",
          run: run - 1,
          attempt: 0,
          at: at(3000)
        }
        same(sorted(commit).changes, [aChange({ key, order_id: id, ...made })])
        const [claimed] = yield* Effect.zipLeft(results(claim(key)), write(releaseOne(key)))
        same(claimed?._tag === "Claimed" && [claimed.claim.run, claimed.claim.attempt], [run, 1])
        // A late outcome of the runs before.
        assert.deepStrictEqual(yield* tags(record(key, run - 1)), ["Unchanged"])
      }
      same((yield* window(9)).ready, [1, 2, 5, 6])
      for (const id of ["new", "processing", "completed", "failed"]) {
        const order = yield* find(id)
        same(yield* write(reopen(id)), { results: [Result.Acted({ order, changed: false })], commit: Option.none() })
        same(yield* find(id), order)
      }
      same(yield* write(reopen("other")), { results: [Result.Missing()], commit: Option.none() })
    })
  )

  test(
    "reopens at the end of the line, even if that is full",
    Effect.gen(function* () {
      yield* write(insert(1), claim(1), record(1, 1, failed()))
      yield* write(insert(2))
      yield* TestClock.setTime(10)
      assert.deepStrictEqual(yield* tags(reopen(1), insert(3)), ["Acted", "Full"])
      same((yield* window(9)).ready, [2, 1])
    }),
    { maxPending: 1 }
  )

  test(
    "reopens many by filter and key, oldest first, each once",
    Effect.gen(function* () {
      // Orders 1 to 8 Failed: odd ones of user 1, even ones of user 2, the last four by code "other". 9 and 10 Cancelled.
      yield* write(...Arr.makeBy(8, (index) => insert(index + 1, { user_id: 1 + (index % 2) })), insert(9), insert(10))
      for (let key = 1; key <= 8; key++) {
        yield* write(claim(key), record(key, 1, failed("no", key > 4 ? "other" : "out_of_stock"), key * 100))
      }
      yield* TestClock.setTime(800)
      yield* write(cancel(9), cancel(10))
      const reopened = (filter: Filter, until?: number) =>
        Effect.gen(function* () {
          const found = yield* reopenable(filter, until)
          for (const [limit, look] of [
            [1, 100],
            [100, 1],
            [2, 3]
          ] as const) {
            assert.deepStrictEqual(yield* reopenable(filter, until, limit, look), found)
          }
          const { commit, results: made } = yield* write(reopenMany(filter, found))
          const keys = sorted(commit).changes.map(({ key }) => key)
          same(made, [Result.Reopened({ count: keys.length })])
          for (const key of keys) {
            const { attempts, finished_at, next_attempt_at, result, started_at, status } = yield* find(key)
            same(
              [status, attempts, started_at, finished_at, next_attempt_at, result],
              ["Pending", 0, Option.none(), Option.none(), Option.some(at(800)), Option.none()]
            )
            const [claimed] = yield* results(claim(key))
            if (claimed?._tag !== "Claimed") return assert.fail(`${key} cannot be claimed`)
            yield* write(record(key, claimed.claim.run, failed("again", "again"), 900))
          }
          assert.deepStrictEqual(keys, found)
          return keys
        })
      assert.deepStrictEqual(yield* reopened({ status: "Completed" }), [])
      assert.deepStrictEqual(yield* reopened({ status: "Pending" }), [])
      assert.deepStrictEqual(yield* reopened({ error_code: "none" }), [])
      assert.deepStrictEqual(yield* reopened({ status: "Cancelled", error_code: "other" }), [])
      assert.deepStrictEqual(yield* reopened({ accepted_before: at(0) }), [])
      assert.deepStrictEqual(yield* reopened({ accepted_after: at(1) }), [])
      assert.deepStrictEqual(yield* reopened({}, 0), [])
      assert.deepStrictEqual(yield* reopened({}, 1), [1])
      assert.deepStrictEqual(yield* reopened({ user_id: "2" }, 3), [2])
      assert.deepStrictEqual(yield* reopened({ user_id: "2", error_code: "other" }), [6, 8])
      assert.deepStrictEqual(yield* reopened({ error_code: "out_of_stock", accepted_after: at(0) }), [3, 4])
      assert.deepStrictEqual(yield* reopened({ accepted_before: at(1), error_code: "other" }), [5, 7])
      assert.deepStrictEqual(yield* reopened({ status: "Cancelled" }, 9), [9])
      assert.strictEqual((yield* find(10)).status, "Cancelled")
      assert.deepStrictEqual(yield* reopened({}), keyRange(1, 9))

      // What is no longer as it was found is left as it is.
      assert.deepStrictEqual(yield* reopenable({ error_code: "again" }, 2), keyRange(1, 2))
      yield* write(reopen(1), claim(1), reopen(2))
      yield* write(record(1, 4, failed("no", "new")))
      same(yield* results(reopenMany({ error_code: "again" }, [1, 2, 3, 99])), [Result.Reopened({ count: 1 })])
      assert.deepStrictEqual(
        [(yield* find(1)).status, (yield* find(2)).attempts, (yield* find(3)).status],
        ["Failed", 0, "Pending"]
      )
    })
  )
}
