import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Schema } from "effect"
import { Order, Status } from "../../src/order/Order.ts"
import { decodeOrderRow } from "../../src/store/OrderRow.ts"

const bySchema = Schema.decodeUnknownEither(Order)

const anId = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/),
  fc.constantFrom<unknown>("", "a b", 1, null)
)
const aTime = fc.oneof(
  fc.integer({ min: 0, max: 4e12 }),
  fc.constantFrom<unknown>(null, 0, -1, 8.64e15, 8.64e15 + 1, 1.5, "1", Number.NaN)
)

/** A row, most of whose columns are as the service writes them. */
const aRow = fc.record({
  order_id: anId,
  user_id: anId,
  status: fc.oneof(fc.constantFrom(...Status.literals), fc.constantFrom<unknown>("Lost", "", null)),
  item_ids: fc.oneof(
    fc.array(anId, { maxLength: 5 }).map((ids) => JSON.stringify(ids)),
    fc.constantFrom<unknown>("", "[", "{}", "null", "[1]", null, 1)
  ),
  total_amount: fc.oneof(
    fc.integer({ min: 0, max: 999_999_999_999_999 }),
    fc.constantFrom<unknown>(-1, 1.5, 1e15, "1", null)
  ),
  currency: fc.constantFrom<unknown>(null, "EUR", "eur", 1),
  metadata: fc.oneof(
    fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.stringify(value)),
    fc.constantFrom<unknown>(null, "{", "[]", "null", '{"__proto__":1}', 1)
  ),
  attempts: fc.constantFrom<unknown>(0, 1, -1, 1.5, null),
  accepted_at: aTime,
  started_at: aTime,
  finished_at: aTime,
  next_attempt_at: aTime,
  last_error: fc.constantFrom<unknown>(
    null,
    '{"code":"busy","message":"later","attempt":1,"at":"2026-01-31T12:00:00.000Z"}',
    "{}"
  ),
  result: fc.constantFrom<unknown>(null, "null", '{"a":1}', "{")
})

const plainRow = {
  order_id: "101",
  status: "Processing",
  user_id: "1",
  item_ids: '["1","2"]',
  total_amount: 2_507_000,
  currency: "EUR",
  metadata: '{"gift":true}',
  attempts: 1,
  accepted_at: 1,
  started_at: 2,
  finished_at: null,
  next_attempt_at: null,
  last_error: null,
  result: null
}

const agrees = (row: unknown) => assert.deepStrictEqual(decodeOrderRow(row), bySchema(row))

describe("decodeOrderRow", () => {
  it.prop("agrees with the schema on whatever a row holds", { row: aRow }, ({ row }) => agrees(row), {
    fastCheck: { numRuns: 500 }
  })

  it.prop(
    "agrees with it where one column is not as the service writes it",
    { row: aRow, column: fc.constantFrom(...Object.keys(plainRow)) },
    ({ column, row }) => {
      agrees({ ...plainRow, ...Object.fromEntries(Object.entries(row).filter(([name]) => name === column)) })
      agrees(Object.fromEntries(Object.entries(plainRow).filter(([name]) => name !== column)))
    },
    { fastCheck: { numRuns: 1000 } }
  )

  it("makes the same order as the schema of a plain row, and looks at no other columns", () => {
    assert.isTrue(Either.isRight(decodeOrderRow(plainRow)))
    agrees({ ...plainRow, seq: 1, run: "x" })
    for (const row of [null, undefined, 1, "row", []]) agrees(row)
  })
})
