import { assert, describe, it } from "@effect/vitest"
import { endOfLife, lastDays } from "../src/NodeWarnings.ts"
import { unsupported } from "../src/store/sqlite/SqliteDriver.ts"

const at = (time: string) => Date.parse(time)

describe("the lines of Node", () => {
  it("end when their last day is over", () => {
    assert.isUndefined(endOfLife("22.14.0", at("2027-04-30T23:59:59.999Z")))
    assert.strictEqual(
      endOfLife("22.14.0", at("2027-05-01T00:00:00Z")),
      "Node 22 has had no security fixes since 2027-04-30: change to a line that gets them (https://nodejs.org/en/about/previous-releases)"
    )
    for (const [line, lastDay] of Object.entries(lastDays)) {
      assert.isUndefined(endOfLife(`${line}.99.0`, at(`${lastDay}T23:59:59Z`)), line)
      assert.include(endOfLife(`${line}.99.0`, at("2040-01-01")), `Node ${line} has had no security fixes since`)
    }
  })

  it("that are newer than the table are not spoken of", () => {
    assert.isUndefined(endOfLife("27.0.0", at("2040-01-01")))
    assert.isUndefined(endOfLife("2.0.0", at("2040-01-01")))
  })

  it("are in the table if the service runs on them", () => {
    const newest = Math.max(...Object.keys(lastDays).map(Number))
    const lines = Array.from({ length: newest + 1 }, (_, line) => String(line))
    assert.sameMembers(
      lines.filter((line) => unsupported(`${line}.99.0`) === undefined),
      Object.keys(lastDays)
    )
  })
})
