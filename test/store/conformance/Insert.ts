import { assert } from "@effect/vitest"
import { Array as Arr, Effect, Exit, Option, TestClock } from "effect"
import { Command, Result } from "../../../src/store/Command.ts"
import { noTotals } from "../../../src/store/CommandGroups.ts"
import {
  aChange,
  at,
  claim,
  find,
  insert,
  record,
  release,
  releaseOne,
  same,
  sorted,
  tags,
  totals,
  write
} from "../../support/RepoKit.ts"
import { newOrder } from "../../support/TestLayers.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const inserts = (layer: RepoLayer) => {
  const test = testOf(layer)

  test(
    "finds each order as it was submitted",
    Effect.gen(function* () {
      const metadata = {
        "": null,
        "ключ 🛒": ["é", "\u0000", "\ud800", "\udfff tail"],
        deep: { __proto_: [1.5, true] }
      }
      const orders = [
        newOrder(1),
        newOrder("a.b_c:d-e", { user_id: "007", item_ids: ["x", 1, "x"], currency: "EUR", metadata }),
        newOrder(2, { metadata: {}, total_amount: 0 }),
        newOrder(3, { metadata: JSON.parse('{"__proto__":{"a":1},"constructor":2}') }),
        newOrder(4, { item_ids: Arr.range(1, 1000), total_amount: "99999999999.9999" }),
        newOrder(5, { total_amount: 0.0001 })
      ] as const
      yield* TestClock.setTime(5000)
      const [first, ...rest] = Arr.map(orders, (order) => Command.Insert({ order, traceparent: Option.none() }))
      yield* write(first, ...rest)
      for (const order of orders) {
        const found = yield* find(order.order_id)
        same(found, {
          ...order,
          status: "Pending",
          attempts: 0,
          accepted_at: at(5000),
          started_at: Option.none(),
          finished_at: Option.none(),
          next_attempt_at: Option.none(),
          last_error: Option.none(),
          result: Option.none()
        })
        assert.deepStrictEqual(Option.getOrUndefined(found.metadata), Option.getOrUndefined(order.metadata))
      }
    })
  )

  test(
    "finds no order that was not submitted",
    Effect.gen(function* () {
      yield* write(insert(1))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(find(2))))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(find("01"))))
    })
  )

  test(
    "tells of each new order what happened to it",
    Effect.gen(function* () {
      yield* TestClock.setTime(5000)
      const { commit } = yield* write(insert(1), insert("b", { user_id: "u" }))
      const made = { from: Option.none(), to: "Pending", reason: "accepted", run: 0, attempt: 0, at: at(5000) }
      same(sorted(commit), {
        changes: [
          aChange({ key: 1, order_id: "1", ...made }),
          aChange({ key: 2, order_id: "b", ...made, user_id: "u" })
        ],
        totals: { ...noTotals, Pending: 2 }
      })
    })
  )

  // Twins and conflicts

  test(
    "stores the first of twins in one batch and knows the others",
    Effect.gen(function* () {
      const twice = insert(1)
      const { commit, results } = yield* write(twice, twice, insert(1, { user_id: 9 }), insert(2))
      const known = Result.Known({ order: yield* find(1) })
      same(results, [Result.Inserted(), known, known, Result.Inserted()])
      assert.strictEqual(known.order.user_id, "1")
      same(
        Option.map(commit, ({ changes }) => changes.map(({ order_id }) => order_id)),
        Option.some(["1", "2"])
      )
      same(yield* totals, { ...noTotals, Pending: 2 })
    })
  )

  test(
    "knows an order again, as it stands now, and stores nothing of it",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2))
      yield* write(claim(1))
      const again = yield* write(insert(2, { currency: "USD" }), insert(1))
      same(again.results, [Result.Known({ order: yield* find(2) }), Result.Known({ order: yield* find(1) })])
      same(again.commit, Option.none())
      assert.strictEqual((yield* find(1)).status, "Processing")
      same((yield* find(2)).currency, Option.none())
    })
  )

  // Admission

  test(
    "takes exactly MAX_PENDING in one batch, the first ones, and still knows the known",
    Effect.gen(function* () {
      const found = yield* tags(insert(1), insert(2), insert(1), insert(3), insert(4), insert(4), insert(3))
      assert.deepStrictEqual(found, ["Inserted", "Inserted", "Known", "Inserted", "Full", "Full", "Known"])
      assert.isTrue(Exit.isFailure(yield* Effect.exit(find(4))))
      same(yield* totals, { ...noTotals, Pending: 3 })
    }),
    { maxPending: 3 }
  )

  test(
    "takes exactly MAX_PENDING across batches",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2))
      assert.deepStrictEqual(yield* tags(insert(1), insert(3), insert(4)), ["Known", "Inserted", "Full"])
      assert.deepStrictEqual(yield* tags(insert(4), insert(2)), ["Full", "Known"])
      yield* write(claim(2))
      assert.deepStrictEqual(yield* tags(insert(4), insert(5)), ["Inserted", "Full"])
    }),
    { maxPending: 3 }
  )

  test(
    "has room as soon as an order was claimed, also in the same batch, and none for an order put back",
    Effect.gen(function* () {
      const found = yield* tags(insert(1), insert(2), claim(1), insert(2), insert(3), release, insert(4), claim(1))
      assert.deepStrictEqual(found, ["Inserted", "Full", "Claimed", "Inserted", "Full", "Released", "Full", "Claimed"])
      assert.deepStrictEqual(yield* tags(insert(4)), ["Full"])
    }),
    { maxPending: 1 }
  )

  test(
    "runs the commands in the order they came",
    Effect.gen(function* () {
      // Among nodes only a write with something else than inserts, claims and records: nobody else knows the key of a new order.
      const found = yield* tags(
        claim(1),
        record(1, 1),
        insert(1),
        record(1, 1),
        claim(1),
        record(1, 1),
        claim(1),
        releaseOne(1)
      )
      assert.deepStrictEqual(found, [
        "Unchanged",
        "Unchanged",
        "Inserted",
        "Unchanged",
        "Claimed",
        "Recorded",
        "Unchanged",
        "Released"
      ])
      assert.strictEqual((yield* find(1)).status, "Completed")
    })
  )
}
