import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { rereader } from "../../src/dashboard/Rereader.ts"

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A reader whose readings are answered by hand. */
const reading = () => {
  const begun: Array<{ readonly resolve: (answer: string) => void; readonly reject: (error: Error) => void }> = []
  const shown: Array<string> = []
  const state = { isHeld: false, mayShow: true, isWorthAgain: true }
  const reader = rereader<string>({
    read: () => new Promise((resolve, reject) => begun.push({ resolve, reject })),
    show: (answer) => {
      if (state.mayShow) shown.push(answer)
      return state.mayShow
    },
    fail: () => state.isWorthAgain,
    isHeld: () => state.isHeld
  })
  return { ...reader, begun, shown, state, pass: (millis: number) => vi.advanceTimersByTimeAsync(millis) }
}

describe("reading again what may have changed", () => {
  it("takes place once a second, however often it is asked for", async () => {
    const { begun, pass, refresh, shown, start } = reading()
    start()
    begun[0]?.resolve("first")
    await pass(0)
    for (let time = 0; time < 9; time++) {
      refresh()
      await pass(100)
    }
    assert.strictEqual(begun.length, 1)
    await pass(100)
    assert.strictEqual(begun.length, 2)
    // The change may be newer than the answer.
    refresh()
    begun[1]?.resolve("second")
    await pass(999)
    assert.strictEqual(begun.length, 2)
    await pass(1)
    begun[2]?.resolve("third")
    await pass(10_000)
    assert.deepStrictEqual(shown, ["first", "second", "third"])
    assert.strictEqual(begun.length, 3)
  })

  it("waits while it is held, and reads again what could not be shown", async () => {
    const { begun, pass, refresh, shown, state } = reading()
    state.isHeld = true
    refresh()
    await pass(60_000)
    assert.strictEqual(begun.length, 0)
    state.isHeld = false
    await pass(1000)
    state.mayShow = false
    begun[0]?.resolve("too early")
    await pass(1000)
    state.mayShow = true
    begun[1]?.resolve("shown")
    await pass(10_000)
    assert.deepStrictEqual(shown, ["shown"])
    assert.strictEqual(begun.length, 2)
  })

  it("shows the answer of the last reading only, and none after a stop", async () => {
    const { begun, isReading, pass, shown, start, stop } = reading()
    start()
    start()
    begun[1]?.resolve("last")
    begun[0]?.resolve("overtaken")
    await pass(0)
    start()
    assert.isTrue(isReading())
    stop()
    assert.isFalse(isReading())
    begun[2]?.resolve("stopped")
    await pass(10_000)
    assert.deepStrictEqual(shown, ["last"])
    assert.strictEqual(begun.length, 3)
  })

  it("repeats a failed reading only where that is worth it", async () => {
    const { begun, pass, start, state } = reading()
    start()
    begun[0]?.reject(new Error("no answer"))
    await pass(1000)
    assert.strictEqual(begun.length, 2)
    state.isWorthAgain = false
    begun[1]?.reject(new Error("refused"))
    await pass(10_000)
    assert.strictEqual(begun.length, 2)
  })
})
