import { assert, describe, it } from "@effect/vitest"
import { resumption } from "../../src/dashboard/Resumption.ts"
import { aChange, atSecond } from "./AChange.ts"

const nothing = { place: undefined, event: undefined, isReset: false }

/** A stream that begins now, and its clock. */
const begun = () => {
  let millis = 1_000_000
  const resuming = resumption(() => millis)
  assert.isUndefined(resuming.place())
  resuming.opened(Date.parse(atSecond(0)))
  resuming.sign()
  assert.isTrue(resuming.goesOnWith({ ...nothing, place: 7 }))
  return {
    ...resuming,
    pass: (seconds: number) => {
      millis += seconds * 1000
    },
    take: (id: number, second: number) =>
      resuming.goesOnWith({ place: id, event: aChange({ id, at: atSecond(second) }), isReset: false })
  }
}

describe("the resumption of a stream of events", () => {
  it("goes on behind the last place that came, with an event or without one", () => {
    const { goesOnWith, place, take } = begun()
    assert.strictEqual(place(), 7)
    assert.isTrue(take(8, 1))
    assert.strictEqual(place(), 8)
    assert.isTrue(goesOnWith({ ...nothing, place: 12 }))
    assert.isTrue(goesOnWith(nothing))
    assert.strictEqual(place(), 12)
  })

  it("begins anew two minutes after the last sign, and not before", () => {
    const { pass, place, sign } = begun()
    pass(119)
    sign()
    pass(120)
    assert.strictEqual(place(), 7)
    pass(1)
    assert.isUndefined(place())
  })

  it("begins anew after a reset", () => {
    const { goesOnWith, place } = begun()
    assert.isFalse(goesOnWith({ ...nothing, place: 41, isReset: true }))
    assert.isUndefined(place())
  })

  it("begins anew behind a thousand changes that were missed; those that come live do not count", () => {
    const { opened, place, take } = begun()
    for (let id = 8; id < 2000; id++) assert.isTrue(take(id, 10))
    opened(Date.parse(atSecond(20)))
    for (let id = 2000; id < 3000; id++) assert.isTrue(take(id, 19))
    for (let id = 3000; id < 5000; id++) assert.isTrue(take(id, 21))
    assert.strictEqual(place(), 4999)
    assert.isFalse(take(5000, 19))
    assert.isUndefined(place())
    // Each opening counts for itself, and without the service's time none is old.
    opened(Number.NaN)
    for (let id = 5000; id < 7000; id++) assert.isTrue(take(id, 19))
  })
})
