import { assert, it } from "@effect/vitest"
import { Arbitrary, FastCheck, Schema } from "effect"
import { OrderEvent } from "../../src/api/OrderEvent.ts"
import { isOrderEventJson, reasons, statuses } from "../../src/api/OrderEventJson.ts"
import { Status } from "../../src/order/Order.ts"
import * as OrderChange from "../../src/order/OrderChange.ts"

const isEncoded = Schema.is(Schema.encodedSchema(OrderEvent))

it("every status and every reason of the schema is listed, in its order", () => {
  assert.deepStrictEqual(statuses, Status.literals)
  assert.deepStrictEqual(reasons, OrderChange.reasons)
})

it("accepts every event that the schema encodes", () => {
  const events = Arbitrary.make(OrderEvent).map(Schema.encodeSync(OrderEvent))
  FastCheck.assert(FastCheck.property(events, isOrderEventJson))
})

it("accepts and refuses what the encoded schema accepts and refuses, with any field replaced or missing", () => {
  const event = {
    id: 12,
    order_id: 101,
    user_id: "ann",
    from: "Processing",
    to: "Pending",
    at: "2026-01-31T12:00:00.000Z",
    run: 2,
    attempt: 1,
    reason: "retry_scheduled",
    error: { code: "timeout", message: "No outcome within 2s" },
    next_attempt_at: "2026-01-31T12:00:01.000Z",
    by: "support",
    status: "Pending",
    attempts: 1
  }
  const { fields } = OrderEvent
  assert.deepStrictEqual(Object.keys(event), Object.keys(fields))
  const values = [
    ...[undefined, null, true, 0, 1.5, "", "7", "Completed", "completed", "claimed", "Claimed", {}, [], [1]],
    ...[{ code: "timeout" }, { code: 1, message: "no" }, { code: "timeout", message: "no", more: 1 }]
  ]
  for (const field of Object.keys(fields)) {
    const { [field]: _, ...without } = event as Record<string, unknown>
    assert.isFalse(isOrderEventJson(without), `without ${field}`)
    assert.isFalse(isEncoded(without), `without ${field}`)
    for (const value of values) {
      const changed = { ...event, [field]: value }
      assert.strictEqual(isOrderEventJson(changed), isEncoded(changed), JSON.stringify(changed))
    }
  }
  for (const value of [undefined, null, 1, "text", [], [event], {}, event, { ...event, more: 1 }]) {
    assert.strictEqual(isOrderEventJson(value), isEncoded(value), JSON.stringify(value))
  }
})
