import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, ParseResult, Schema } from "effect"
import { decodeNewOrder } from "../../src/order/NewOrderDecoder.ts"
import { NewOrder } from "../../src/order/Order.ts"

const bySchema = Schema.decodeUnknownEither(NewOrder)

const shown = Either.mapLeft(ParseResult.ArrayFormatter.formatErrorSync)

const agrees = (json: unknown) => assert.deepStrictEqual(shown(decodeNewOrder(json)), shown(bySchema(json)))

const anId = fc.oneof(fc.integer({ min: 1 }), fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/))
const noId = fc.constantFrom<unknown>(
  0,
  -1,
  1.5,
  2 ** 53,
  Number.POSITIVE_INFINITY,
  "",
  "-a",
  "a b",
  "a".repeat(65),
  "\u0000",
  null,
  true,
  [],
  {},
  undefined
)
const anAmount = fc.oneof(
  fc.integer({ min: 0, max: 99_999_999_999 }),
  fc.tuple(fc.nat(), fc.nat({ max: 9999 })).map(([whole, part]) => `${whole}.${part}`),
  fc.constantFrom<unknown>(0, "0", 99_999_999_999.9999, "250.70")
)
const noAmount = fc.oneof(
  fc.double(),
  fc.constantFrom<unknown>("00", "1.", ".5", "+1", "1e2", 1e21, 1e-7, -0, 100_000_000_000, null, {})
)
const someMetadata = fc.dictionary(
  fc.string(),
  fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.integer(), { maxLength: 3 })),
  { maxKeys: 5 }
)
const noMetadata = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(
    { a: 2 ** 53 },
    { a: [{ b: Number.POSITIVE_INFINITY }] },
    { a: "x".repeat(9000) },
    JSON.parse('{"__proto__": {"a": 1}}')
  )
)
const goodOrder = fc.record(
  {
    order_id: anId,
    user_id: anId,
    item_ids: fc.array(anId, { minLength: 1, maxLength: 5 }),
    total_amount: anAmount,
    currency: fc.constantFrom<unknown>("EUR", null, undefined),
    metadata: someMetadata
  },
  { requiredKeys: ["order_id", "user_id", "item_ids", "total_amount"] }
)
/** Parts of an order of which each makes it a bad one, more often than not. */
const badPart = fc.record(
  {
    order_id: noId,
    user_id: noId,
    item_ids: fc.oneof(fc.array(fc.oneof(anId, noId), { maxLength: 5 }), fc.constantFrom<unknown>("1", {}, null)),
    total_amount: noAmount,
    currency: fc.constantFrom<unknown>("eur", "EURO", 1),
    metadata: noMetadata,
    items: fc.constant(1)
  },
  { requiredKeys: [] }
)
const someOrder = fc.oneof(
  goodOrder,
  fc.tuple(goodOrder, badPart).map(([order, part]) => ({ ...order, ...part }))
)

describe("decodeNewOrder", () => {
  it("agrees with the schema on whatever is sent, in what it takes and in what it says", () => {
    let [good, all] = [0, 0]
    const counted = (json: unknown) => {
      all += 1
      if (Either.isRight(decodeNewOrder(json))) good += 1
      agrees(json)
    }
    fc.assert(fc.property(someOrder, counted), { numRuns: 1500 })
    assert.isAbove(good, all / 3)
    assert.isBelow(good, (all * 2) / 3)
    fc.assert(fc.property(fc.jsonValue(), agrees), { numRuns: 300 })
  })

  it("agrees at the edges", () => {
    const order = { order_id: 1, user_id: "u", item_ids: [1], total_amount: "0.0001" }
    for (const json of [
      order,
      {},
      null,
      [],
      { ...order, item_ids: Array(1000).fill("x") },
      { ...order, item_ids: Array(1001).fill("x") },
      { ...order, item_ids: Array(1001).fill({}) },
      { ...order, item_ids: new Array(3) },
      { ...order, metadata: { a: "x".repeat(8192 - 8) } },
      { ...order, metadata: { a: "x".repeat(8192 - 7) } },
      { ...order, metadata: { a: "é".repeat(4092) } },
      { ...order, metadata: { a: "é".repeat(4093) } },
      JSON.parse('{"__proto__": 1, "order_id": 1, "user_id": 1, "item_ids": [1], "total_amount": 1}')
    ]) {
      agrees(json)
    }
  })

  it("reports the first fault only, if that is asked", () => {
    const faults = Either.flip(decodeNewOrder({ order_id: 0, items: 1 }, "first"))
    assert.strictEqual(ParseResult.ArrayFormatter.formatErrorSync(Either.getOrThrow(faults)).length, 1)
  })
})
