import { assert, it } from "@effect/vitest"
import { amount, duration, moment, time } from "../../src/dashboard/Format.ts"

it("durations are rounded before they are split", () => {
  assert.deepStrictEqual([0, 0.0001, 0.25, 2, 59.94, 119.4, 119.7, 3599.8, 6000].map(duration), [
    "0",
    "1 ms",
    "250 ms",
    "2.00 s",
    "59.9 s",
    "1 min 59 s",
    "2 min 0 s",
    "60 min 0 s",
    "1.7 h"
  ])
})

it("amounts have the decimals of their currency, and never lose any", () => {
  const of = (currency: string | null, ...values: ReadonlyArray<number>) =>
    values.map((value) => amount(value, currency))
  assert.deepStrictEqual(of("JPY", 0, 1200, 1200.5, 0.0001), ["0 JPY", "1,200 JPY", "1,200.5 JPY", "0.0001 JPY"])
  assert.deepStrictEqual(of("KWD", 0, 1.5, 1.2345), ["0.000 KWD", "1.500 KWD", "1.2345 KWD"])
  assert.deepStrictEqual(of("EUR", 0, 250.7, 1.005, 1.0049), ["0.00 EUR", "250.70 EUR", "1.005 EUR", "1.0049 EUR"])
  assert.deepStrictEqual(of("CLF", 1), ["1.0000 CLF"])
  assert.deepStrictEqual(of("ZZZ", 1), ["1.00 ZZZ"])
  assert.deepStrictEqual(of(null, 9.99, 5), ["9.99", "5.00"])
  assert.deepStrictEqual(of("EUR", 99_999_999_999.9999, 99_999_999_999.9998, 10_000_000_000.0001), [
    "99,999,999,999.9999 EUR",
    "99,999,999,999.9998 EUR",
    "10,000,000,000.0001 EUR"
  ])
})

it("old dates have their year", () => {
  const now = new Date(2026, 10, 26, 12, 0, 0)
  const at = (...parts: [number, number, number, number, number, number]) => new Date(...parts).toISOString()
  const times = [at(2026, 10, 26, 7, 5, 9), at(2026, 0, 31, 23, 59, 0), at(2025, 11, 31, 23, 59, 0)]
  assert.deepStrictEqual(
    times.map((iso) => time(iso, now)),
    ["07:05:09", "Jan 31, 23:59", "Dec 31, 2025"]
  )
  assert.deepStrictEqual(
    times.map((iso) => moment(iso, now)),
    ["07:05:09", "Jan 31, 2026, 23:59:00", "Dec 31, 2025, 23:59:00"]
  )
})
