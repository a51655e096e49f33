import { assert } from "@effect/vitest"
import { Array as Arr, Effect, Option, TestClock } from "effect"
import { RowKey } from "../../../src/order/OrderChange.ts"
import { Command, Result } from "../../../src/store/Command.ts"
import {
  aChange,
  at,
  claim,
  failed,
  find,
  insert,
  postponed,
  record,
  recover,
  release,
  released,
  reopen,
  results,
  same,
  sorted,
  tags,
  write
} from "../../support/RepoKit.ts"
import { newOrder } from "../../support/TestLayers.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const claims = (layer: RepoLayer) => {
  const test = testOf(layer)

  test(
    "claims several at once, and tells how long they waited",
    Effect.gen(function* () {
      yield* write(insert("a"), insert("b"), insert("c"))
      yield* TestClock.setTime(3000)
      const { commit, results } = yield* write(claim(2), claim(9), claim(1))
      const b = yield* find("b")
      const claimed = { run: 1, attempt: 1, round: 1, traceparent: Option.none(), begunAt: 3000 }
      same(b.started_at, Option.some(at(3000)))
      same(results, [
        Result.Claimed({ claim: { key: RowKey(2), order: b, ...claimed } }),
        Result.Unchanged(),
        Result.Claimed({ claim: { key: RowKey(1), order: yield* find("a"), ...claimed } })
      ])
      const made = {
        from: Option.some("Pending"),
        to: "Processing",
        reason: "claimed",
        at: at(3000),
        elapsedMillis: 3000
      }
      same(sorted(commit).changes, [
        aChange({ key: 1, order_id: "a", ...made }),
        aChange({ key: 2, order_id: "b", ...made })
      ])
      assert.strictEqual((yield* find("c")).status, "Pending")
    })
  )

  test(
    "gives an order to one claim only",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2))
      assert.deepStrictEqual(yield* tags(claim(1), claim(1), claim(2)), ["Claimed", "Unchanged", "Claimed"])
      assert.deepStrictEqual(yield* tags(claim(1)), ["Unchanged"])
    })
  )

  test(
    "never uses a run number again, and counts the attempts that count",
    Effect.gen(function* () {
      yield* write(insert(1))
      const next = Effect.map(results(claim(1)), ([result]) =>
        result?._tag === "Claimed" ? [result.claim.run, result.claim.attempt, result.claim.order.attempts] : result
      )
      assert.deepStrictEqual(yield* next, [1, 1, 1])
      yield* write(record(1, 1, postponed(0)))
      assert.strictEqual((yield* find(1)).attempts, 1)
      assert.deepStrictEqual(yield* next, [2, 2, 2])
      yield* write(release)
      assert.strictEqual((yield* find(1)).attempts, 1)
      assert.deepStrictEqual(yield* next, [3, 2, 2])
    })
  )

  // Outcomes

  test(
    "keeps the trace in which an order was submitted, for all of its claims",
    Effect.gen(function* () {
      const traceparent = (digit: string) => Option.some(`00-${digit.repeat(32)}-${digit.repeat(16)}-01`)
      const traced = (id: number, traceparent: Option.Option<string>) =>
        Command.Insert({ order: newOrder(id), traceparent })
      const [one, other] = [traceparent("1"), traceparent("2")]
      const claims = (...keys: Arr.NonEmptyReadonlyArray<number>) =>
        Effect.map(results(...Arr.map(keys, claim)), (results) =>
          results.map((result) => (result._tag === "Claimed" ? result.claim.traceparent : result))
        )
      // A replay tells nothing new.
      const inserted = yield* tags(traced(1, one), traced(2, Option.none()), traced(3, other), traced(1, other))
      assert.deepStrictEqual(inserted, ["Inserted", "Inserted", "Inserted", "Known"])
      yield* write(traced(2, one))
      same(yield* claims(1, 2, 3), [one, Option.none(), other])
      yield* write(record(1, 1, released()), record(2, 1, postponed(0)), record(3, 1, failed()), reopen(3))
      same(yield* claims(1, 2, 3), [one, Option.none(), other])
      yield* write(recover())
      same(yield* claims(1, 2, 3), [one, Option.none(), other])
    })
  )

  // Orders lost with the process
}
