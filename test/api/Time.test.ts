import { assert, describe, it } from "@effect/vitest"
import { DateTime, Either, Option, Schema } from "effect"
import { DecimalNumber, WholeNumber } from "../../src/api/Numbers.ts"
import { parseTime } from "../../src/api/Time.ts"

describe("times from outside", () => {
  it("are dates, which begin in UTC, and times with an offset", () => {
    for (const [text, time] of [
      ["2026-01-31", "2026-01-31T00:00:00.000Z"],
      ["2028-02-29", "2028-02-29T00:00:00.000Z"],
      ["0001-01-01", "0001-01-01T00:00:00.000Z"],
      ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"],
      ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"],
      ["2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500Z"],
      ["2026-01-31T12:00:00.123456000+00:00", "2026-01-31T12:00:00.124Z"],
      ["2026-01-31T12:00:00.123000-00:00", "2026-01-31T12:00:00.123Z"],
      ["2026-01-31T23:59:59.9999Z", "2026-02-01T00:00:00.000Z"],
      ["2026-01-31T00:30:00+01:00", "2026-01-30T23:30:00.000Z"],
      ["2026-01-31T23:30:00-05:30", "2026-02-01T05:00:00.000Z"]
    ] as const) {
      assert.strictEqual(Option.getOrUndefined(Option.map(parseTime(text), DateTime.formatIso)), time, text)
    }
  })

  it("are refused in any other form, and if there is no such day or time", () => {
    for (const text of [
      ...["2027-02-30", "2026-02-29", "2026-04-31", "2026-00-10", "2026-13-01", "2026-01-00", "2026-01-32"],
      ...["5", "-1", "0", "2026", "2026-01", "03/04/2020", "20260131", "2026-1-3", "+2026-01-31", "12026-01-31"],
      ...["2026-01-31T12:00Z", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00 01:00"],
      ...["2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:60Z", "2026-02-30T12:00:00Z"],
      ...[
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+01:60",
        "2026-01-31T12:00:00+0100",
        "2026-01-31T12:00:00.Z"
      ],
      ...["2026-01-31t12:00:00z", " 2026-01-31", "2026-01-31\n", "31 January 2026", "now", ""]
    ]) {
      assert.isTrue(Option.isNone(parseTime(text)), text)
    }
  })
})

describe("numbers from outside", () => {
  const decodes = <A>(schema: Schema.Schema<A, string>, text: string) =>
    Option.getOrUndefined(Either.getRight(Schema.decodeEither(schema)(text)))

  it("are plain decimal digits", () => {
    for (const text of ["0x10", "+5", "-5", "1e1", "05", " 5", "5 ", "5.0", "", "0b1", "5_0", "٥", "Infinity", "501"]) {
      assert.isUndefined(decodes(WholeNumber(1, 500), text), text)
    }
    for (const text of ["0x10", "+5", "-5", "1e1", "05", " 5", ".5", "5.", "", "NaN", "Infinity", "30.1"]) {
      assert.isUndefined(decodes(DecimalNumber(0, 30), text), text)
    }
    assert.strictEqual(decodes(WholeNumber(1, 500), "500"), 500)
    assert.strictEqual(decodes(DecimalNumber(0, 30), "0.25"), 0.25)
    assert.strictEqual(decodes(DecimalNumber(0, 30), "30"), 30)
  })
})
