import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Schema } from "effect"
import { Status } from "../../src/order/Order.ts"
import { reasons } from "../../src/order/OrderChange.ts"
import { ChangeRow, decodeChangeRow } from "../../src/store/ChangeRow.ts"

const bySchema = Schema.decodeUnknownEither(ChangeRow)

const plainRow = {
  id: 7,
  key: 3,
  order_id: "101",
  user_id: "1",
  from: "Pending",
  to: "Processing",
  at: 1_700_000_000_000,
  run: 1,
  attempt: 1,
  reason: "claimed",
  error: null,
  next_attempt_at: null,
  by: null
}

const wrong = fc.constantFrom<unknown>(null, undefined, "", "a", 1.5, -1, 8.64e15 + 1, Number.NaN, {})
const aNumber = fc.oneof(fc.integer(), wrong)
const aText = fc.oneof(fc.string(), wrong)
const columns = {
  id: aNumber,
  key: aNumber,
  order_id: aText,
  user_id: aText,
  from: fc.oneof(fc.constantFrom<unknown>(...Status.literals), wrong),
  to: fc.oneof(fc.constantFrom<unknown>(...Status.literals), wrong),
  at: aNumber,
  run: aNumber,
  attempt: aNumber,
  reason: fc.oneof(fc.constantFrom<unknown>(...reasons), wrong),
  error: fc.oneof(fc.constantFrom<unknown>('{"code":"a","message":"b"}', "{}", "["), wrong),
  next_attempt_at: aNumber,
  by: aText
}

/** The same change, or refused by both. */
const agrees = (row: unknown) => {
  const [mine, theirs] = [decodeChangeRow(row), bySchema(row)]
  if (Either.isLeft(theirs)) return assert.isTrue(Either.isLeft(mine))
  assert.deepStrictEqual(Either.getOrThrow(mine), Either.getOrThrow(theirs))
}

describe("decodeChangeRow", () => {
  it("agrees with the schema on rows as the service writes them", () => {
    agrees(plainRow)
    agrees({ ...plainRow, from: null, to: "Pending", reason: "accepted" })
    agrees({ ...plainRow, next_attempt_at: 1, by: "shop", error: '{"code":"busy","message":"later"}' })
  })

  it("agrees with it where one column is of any kind", () => {
    for (const [name, value] of Object.entries(columns)) {
      fc.assert(
        fc.property(value, (value) => agrees({ ...plainRow, [name]: value })),
        { numRuns: 100 }
      )
    }
  })

  it("agrees with it where columns are missing, or there is no row", () => {
    for (const name of Object.keys(columns))
      agrees(Object.fromEntries(Object.entries(plainRow).filter(([key]) => key !== name)))
    for (const row of [null, undefined, 1, "row", []]) agrees(row)
  })
})
