import { assert, describe, it } from "@effect/vitest"
import { deadAfterSeconds, heartbeatSeconds } from "../../src/api/Heartbeat.ts"
import { streamWatch } from "../../src/dashboard/StreamWatch.ts"
import { calmMetrics } from "./CalmMetrics.ts"

/** A watch on a stream that is opened now, and its clock. */
const opened = () => {
  let millis = 1000
  const watch = streamWatch(() => millis)
  watch.opened()
  return {
    ...watch,
    pass: (seconds: number) => {
      millis += seconds * 1000
    },
    count: (orders_completed: number) => watch.counted({ ...calmMetrics, orders_completed }, millis)
  }
}

describe("the watch on a stream of events", () => {
  it("waits a little for the first sign, then holds the stream for silent, then for dead", () => {
    const watch = opened()
    assert.strictEqual(watch.judge(), "starting")
    watch.pass(3.1)
    assert.strictEqual(watch.judge(), "silent")
    watch.pass(deadAfterSeconds)
    assert.strictEqual(watch.judge(), "dead")
    watch.opened()
    assert.strictEqual(watch.judge(), "starting")
  })

  it("holds a stream for live as long as each heartbeat comes, a little late too", () => {
    const watch = opened()
    assert.isTrue(watch.sign())
    for (let beat = 0; beat < 10; beat++) {
      watch.pass(heartbeatSeconds + 4.9)
      assert.strictEqual(watch.judge(), "live")
      assert.isFalse(watch.sign())
    }
    watch.pass(heartbeatSeconds + 5.1)
    assert.strictEqual(watch.judge(), "silent")
    watch.pass(2 * heartbeatSeconds)
    assert.strictEqual(watch.judge(), "dead")
  })

  it("distrusts for a minute a stream that brings heartbeats, and no event though the counts change", () => {
    const watch = opened()
    watch.sign()
    watch.count(1)
    watch.pass(1)
    watch.count(2)
    assert.strictEqual(watch.judge(), "live")
    watch.pass(3.1)
    watch.sign()
    assert.strictEqual(watch.judge(), "silent")
    watch.opened()
    watch.sign()
    watch.pass(10)
    assert.strictEqual(watch.judge(), "silent")
    watch.pass(51)
    watch.sign()
    assert.strictEqual(watch.judge(), "live")
  })

  it("trusts a stream whose event comes with the change of the counts, or soon after it", () => {
    const watch = opened()
    watch.sign()
    watch.count(1)
    watch.pass(1)
    watch.event()
    watch.count(2)
    watch.pass(1)
    watch.count(3)
    watch.pass(2)
    watch.event()
    watch.pass(5)
    assert.strictEqual(watch.judge(), "live")
  })

  it("does not compare counts that were read before the first sign", () => {
    const watch = opened()
    watch.count(1)
    watch.pass(1)
    watch.sign()
    watch.count(2)
    watch.pass(4)
    assert.strictEqual(watch.judge(), "live")
  })
})
