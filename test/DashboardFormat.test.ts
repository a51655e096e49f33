import { assert, it } from "@effect/vitest"
import { duration } from "../src/dashboard/Format.ts"

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
