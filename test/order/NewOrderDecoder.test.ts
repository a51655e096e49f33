import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, ParseResult, Schema } from "effect"
import { decodeNewOrder } from "../../src/order/NewOrderDecoder.ts"
import { NewOrder } from "../../src/order/Order.ts"

const bySchema = Schema.decodeUnknownEither(NewOrder)

const told = Either.mapLeft(ParseResult.ArrayFormatter.formatErrorSync)

const agrees = (json: unknown) => assert.deepStrictEqual(told(decodeNewOrder(json)), told(bySchema(json)))

const anId = fc.oneof(
  fc.integer({ min: 1 }),
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/),
  fc.constantFrom<unknown>(
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
)
const anAmount = fc.oneof(
  fc.integer({ min: 0, max: 99_999_999_999 }),
  fc.tuple(fc.nat(), fc.nat({ max: 9999 })).map(([whole, part]) => `${whole}.${part}`),
  fc.double(),
  fc.constantFrom<unknown>(
    0,
    "0",
    "00",
    "1.",
    ".5",
    "+1",
    "1e2",
    1e21,
    1e-7,
    -0,
    99_999_999_999.9999,
    100_000_000_000,
    "250.70",
    null,
    {}
  )
)
const someMetadata = fc.oneof(
  fc.dictionary(fc.string(), fc.jsonValue()),
  fc.jsonValue(),
  fc.constantFrom<unknown>(
    { a: 2 ** 53 },
    { a: [{ b: Number.POSITIVE_INFINITY }] },
    { a: "x".repeat(9000) },
    JSON.parse('{"__proto__": {"a": 1}}')
  )
)
const someOrder = fc.record(
  {
    order_id: anId,
    user_id: anId,
    item_ids: fc.oneof(fc.array(anId, { maxLength: 5 }), fc.constantFrom<unknown>("1", {}, null)),
    total_amount: anAmount,
    currency: fc.constantFrom<unknown>("EUR", "eur", "EURO", null, undefined, 1),
    metadata: someMetadata,
    items: fc.constant(1)
  },
  { requiredKeys: ["order_id", "user_id", "item_ids", "total_amount"] }
)

describe("decodeNewOrder", () => {
  it("agrees with the schema on whatever is sent, in what it takes and in what it says", () => {
    fc.assert(fc.property(someOrder, agrees), { numRuns: 1500 })
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

  it("tells the first fault only, if that is asked", () => {
    const faults = Either.flip(decodeNewOrder({ order_id: 0, items: 1 }, "first"))
    assert.strictEqual(ParseResult.ArrayFormatter.formatErrorSync(Either.getOrThrow(faults)).length, 1)
  })
})
