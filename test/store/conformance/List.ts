import { assert } from "@effect/vitest"
import { Array as Arr, Effect, Option, TestClock } from "effect"
import type { Status } from "../../../src/order/Order.ts"
import { type Filter, Result } from "../../../src/store/Command.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import {
  at,
  claim,
  failed,
  find,
  insert,
  keyRange,
  listed,
  oneOfEach,
  page,
  record,
  reopenable,
  reopenMany,
  results,
  same,
  write
} from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const lists = (layer: RepoLayer) => {
  const test = testOf(layer)

  test(
    "lists newest first, by all filters together",
    Effect.gen(function* () {
      yield* oneOfEach
      yield* TestClock.setTime(1000)
      yield* write(insert("a", { user_id: 2 }), insert("b", { user_id: 2 }), insert("c", { user_id: 2 }))
      yield* write(claim(7), claim(8), record(7, 1, failed("no", "other")), record(8, 1, failed()))
      const { found: orders } = yield* Effect.flatMap(OrdersRepo, (repo) => repo.list({}, Option.none(), 100))
      same(
        orders.map(({ key }) => key),
        [9, 8, 7, 6, 5, 4, 3, 2, 1]
      )
      for (const { order } of orders) same(order, yield* find(order.order_id))

      // Every combination, held against what the filters mean.
      const some = <A>(...values: ReadonlyArray<A>) => [undefined, ...values]
      for (const status of some("Pending", "Processing", "Completed", "Failed", "Cancelled") as ReadonlyArray<
        Status | undefined
      >) {
        for (const user_id of some("1", "2", "3")) {
          for (const error_code of some("out_of_stock", "other", "busy")) {
            for (const [after, before] of [
              [],
              [0],
              [1],
              [1000],
              [1001],
              [0, 1000],
              [0, 0],
              [1, 1001],
              [undefined, 1000]
            ]) {
              const filter = {
                status,
                user_id,
                error_code,
                accepted_after: after === undefined ? undefined : at(after),
                accepted_before: before === undefined ? undefined : at(before)
              }
              const expected = orders.flatMap(({ order }) =>
                (status ?? order.status) === order.status &&
                (user_id ?? order.user_id) === order.user_id &&
                (error_code === undefined ||
                  (order.status === "Failed" && Option.exists(order.last_error, ({ code }) => code === error_code))) &&
                order.accepted_at.epochMillis >= (after ?? 0) &&
                order.accepted_at.epochMillis < (before ?? Infinity)
                  ? [order.order_id]
                  : []
              )
              assert.deepStrictEqual(yield* listed(filter), expected, JSON.stringify(filter))
              assert.deepStrictEqual(yield* listed(filter, 2, 3), expected, JSON.stringify(filter))
            }
          }
        }
      }
    })
  )

  test(
    "finds an error code by the same characters only, and none by what no code has",
    Effect.gen(function* () {
      const codes = ["\ufffd", "a", "A", "a ", "é", "e\u0301", "ß", "ss", "нет 🎄", "%", "_"]
      for (const [index, code] of codes.entries()) {
        yield* write(insert(index + 1), claim(index + 1), record(index + 1, 1, failed("no", code)))
      }
      for (const [index, error_code] of codes.entries()) {
        for (const user_id of [undefined, "1"]) {
          assert.deepStrictEqual(yield* listed({ error_code, user_id }), [String(index + 1)], error_code)
          assert.deepStrictEqual(yield* reopenable({ error_code, user_id }), keyRange(index + 1, index + 1), error_code)
        }
      }
      for (const error_code of ["\u0000", "a\u0000", "\ud800", "\udfff a", "É", " a", ""]) {
        for (const user_id of [undefined, "1"]) {
          assert.deepStrictEqual(yield* listed({ error_code, user_id }), [])
          assert.deepStrictEqual(yield* reopenable({ error_code, user_id }), [])
        }
        same(yield* results(reopenMany({ error_code })), [Result.Reopened({ count: 0 })])
      }
    })
  )

  test(
    "pages without repeating or skipping, whatever is inserted meanwhile",
    Effect.gen(function* () {
      same(yield* page(), { ids: [], next: Option.none() })
      yield* write(...Arr.makeBy(25, (index) => insert(index + 1, { user_id: 1 + (index % 2) })))
      for (const [filter, expected, look] of [
        [{}, Arr.reverse(Arr.range(1, 25)), undefined],
        [{ user_id: "2" }, Arr.makeBy(12, (index) => 24 - 2 * index), 3],
        [{ status: "Pending" }, Arr.reverse(Arr.range(1, 25)), 3],
        // Looked for among the user's orders, none of which it is.
        [{ user_id: "2", status: "Completed" }, [], 3]
      ] satisfies ReadonlyArray<readonly [Filter, ReadonlyArray<number>, number | undefined]>) {
        const seen: Array<string> = []
        let next = Option.some(26)
        let steps = 0
        while (Option.isSome(next)) {
          const { ids, next: after } = yield* page(filter, next, 4, look)
          assert.isAtMost(ids.length, Math.min(4, look ?? 4))
          seen.push(...ids)
          next = after
          steps += 1
          yield* write(insert(`later-${JSON.stringify(filter).length}-${steps}`, { user_id: 2 }))
        }
        assert.deepStrictEqual(seen, expected.map(String))
        assert.isAtLeast(steps, 4)
      }
      same((yield* page({}, Option.some(3), 9)).ids, ["2", "1"])
      same(yield* page({}, Option.some(1), 9), { ids: [], next: Option.none() })
    })
  )

  test(
    "lists by time of acceptance, with equal times and a clock that was set back",
    Effect.gen(function* () {
      for (const [id, time] of [
        [1, 100],
        [2, 100],
        [3, 300],
        [4, 200],
        [5, 300],
        [6, 301],
        [7, 50],
        [8, 400]
      ] as const) {
        yield* TestClock.setTime(time)
        yield* write(insert(id))
      }
      const range = (after?: number, before?: number) =>
        Effect.map(
          listed({
            accepted_after: after === undefined ? undefined : at(after),
            accepted_before: before === undefined ? undefined : at(before)
          }),
          (ids) => ids.map(Number).reverse()
        )
      assert.deepStrictEqual(yield* range(0, 1000), Arr.range(1, 8))
      assert.deepStrictEqual(yield* range(100), [1, 2, 3, 4, 5, 6, 8])
      assert.deepStrictEqual(yield* range(101), [3, 4, 5, 6, 8])
      assert.deepStrictEqual(yield* range(300, 301), [3, 5])
      assert.deepStrictEqual(yield* range(300, 300), [])
      assert.deepStrictEqual(yield* range(301, 400), [6])
      assert.deepStrictEqual(yield* range(undefined, 300), [1, 2, 4, 7])
      assert.deepStrictEqual(yield* range(undefined, 100), [7])
      assert.deepStrictEqual(yield* range(400), [8])
      assert.deepStrictEqual(yield* range(401), [])
      assert.deepStrictEqual(yield* range(400, 100), [])
    })
  )
}
