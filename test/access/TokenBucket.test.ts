import { assert, describe, it } from "@effect/vitest"
import { TokenBucket } from "../../src/access/TokenBucket.ts"

const aBucket = (quota: number, windowSeconds: number) => {
  let now = 0
  const bucket = new TokenBucket(quota, windowSeconds, () => now)
  return {
    bucket,
    pass: (millis: number) => {
      now += millis
    }
  }
}

describe("A token bucket", () => {
  it("gives what it has, and no more", () => {
    const { bucket } = aBucket(10, 1)
    assert.strictEqual(bucket.take(4), 4)
    assert.strictEqual(bucket.left, 6)
    assert.strictEqual(bucket.take(7), 6)
    assert.strictEqual(bucket.take(1), 0)
  })

  it("fills evenly with time, up to its quota", () => {
    const { bucket, pass } = aBucket(10, 60)
    bucket.take(10)
    assert.strictEqual(bucket.secondsUntil(1), 6)
    assert.strictEqual(bucket.secondsUntil(3), 18)
    assert.strictEqual(bucket.secondsUntilFull, 60)
    pass(5999)
    assert.strictEqual(bucket.take(1), 0)
    pass(1)
    assert.strictEqual(bucket.take(1), 1)
    pass(3_600_000)
    assert.strictEqual(bucket.take(20), 10)
  })

  it("loses nothing to many looks", () => {
    const { bucket, pass } = aBucket(100, 1)
    bucket.take(100)
    let taken = 0
    for (let look = 0; look < 10_000; look += 1) {
      pass(1)
      taken += bucket.take(1)
    }
    // Give or take the last, by the arithmetic of fractions.
    assert.closeTo(taken, 1000, 1)
  })

  it("asks to wait a second at least", () => {
    const { bucket } = aBucket(1000, 1)
    bucket.take(1000)
    assert.strictEqual(bucket.secondsUntil(1), 1)
  })
})
