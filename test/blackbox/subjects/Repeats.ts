import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { at, json } from "../Caller.ts"
import { expectStatus, held, hold, isStatus, order, type Subject } from "../Subject.ts"

const known = order("known", { currency: "EUR", metadata: { a: 1, b: { c: [2], d: null } } })

const same = [
  JSON.stringify(known),
  JSON.stringify(Object.fromEntries(Object.entries(known).reverse())),
  JSON.stringify({ ...known, user_id: "1", item_ids: ["1", 2, "3"], total_amount: "250.70" }),
  ` { "metadata" : {"b":{"d":null,"c":[2.0]},"a":1e0}, "currency":"EUR",
      "total_amount":250.7000, "item_ids":[1,2,3], "user_id":1, "order_id":"known" } `
]

const others: ReadonlyArray<readonly [object, ReadonlyArray<string>]> = [
  [{ user_id: 2 }, ["user_id"]],
  [{ item_ids: [1, 3, 2] }, ["item_ids"]],
  [{ item_ids: [1, 2, 3, 3] }, ["item_ids"]],
  [{ total_amount: 250.7001 }, ["total_amount"]],
  [{ currency: null }, ["currency"]],
  [{ currency: undefined }, ["currency"]],
  [{ metadata: {} }, ["metadata"]],
  [{ metadata: { a: 1, b: { c: [2] } } }, ["metadata"]],
  [{ metadata: { a: "1", b: { c: [2], d: null } } }, ["metadata"]],
  [{ metadata: null, user_id: "x", item_ids: [1] }, ["user_id", "item_ids", "metadata"]]
]

/** Contents of one id, no two of which are the same. */
const alike = [
  { a: "\u0000" },
  { a: "\\u0000" },
  { a: "\ud800" },
  { a: "\ufffd" },
  { a: "é" },
  { a: "e\u0301" },
  { a: "x" },
  { a: "X" },
  { a: "x " },
  { A: "x" },
  { "a ": "x" },
  { a: 1 },
  { a: 1.0000000000000002 }
]

export const repeats: Subject = {
  title: "an order that is submitted again",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { ask, get, getUntil, post, send } = caller
      yield* hold(caller)
      const postText = (body: string) => send({ method: "POST", path: "/api/order", headers: json, body })

      expectStatus(202)(yield* post("/api/order", known))
      for (const body of same) {
        const again = yield* postText(body)
        assert.strictEqual(again.text, '{"message":"Order received","order_id":"known","status":"Pending"}')
        assert.strictEqual(again.headers["idempotent-replayed"], "true")
      }
      for (const [change, fields] of others) {
        const conflict = yield* post("/api/order", { ...known, ...change })
        expectStatus(409)(conflict)
        assert.deepStrictEqual(at(conflict, "fields"), fields)
      }
      assert.strictEqual(at(yield* get("/api/order/known"), "user_id"), 1)

      for (const [first, metadata] of alike.entries()) {
        expectStatus(202)(yield* post("/api/order", order(`alike-${first}`, { metadata })))
        for (const [second, other] of alike.entries()) {
          // Sent without being written down: a hundred and more of the same kind.
          const { status } = yield* ask({
            method: "POST",
            path: "/api/order",
            headers: json,
            body: JSON.stringify(order(`alike-${first}`, { metadata: other }))
          })
          assert.strictEqual(status, first === second ? 200 : 409, JSON.stringify([metadata, other]))
        }
      }

      const twins = yield* Effect.all(
        Array.from({ length: 20 }, (_, index) =>
          ask({
            method: "POST",
            path: "/api/order",
            headers: json,
            body: JSON.stringify(order("twin", { total_amount: index % 2 === 0 ? 1 : "1.00" }))
          })
        ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        twins.map(({ status }) => status).sort((one, other) => other - one),
        [202, ...Array.from({ length: 19 }, () => 200)]
      )
      const { total_orders } = JSON.parse((yield* ask({ path: "/api/metrics" })).text)
      assert.strictEqual(total_orders, 2 + 1 + alike.length + 1)

      assert.strictEqual(at(yield* post("/api/order", order("hold-1")), "status"), "Processing")
      expectStatus(200)(yield* post("/api/order/known/cancel"))
      assert.strictEqual(at(yield* post("/api/order", known), "status"), "Cancelled")
      expectStatus(409)(yield* post("/api/order", { ...known, user_id: 2 }))
      yield* getUntil("/api/order/known", isStatus("Cancelled"))
    })
}
