import { assert, describe, it } from "@effect/vitest"
import { throughputSeries } from "../../src/dashboard/ThroughputSeries.ts"
import { calmMetrics } from "./CalmMetrics.ts"

const counts = (total_orders: number, orders_completed = 0, orders_failed = 0) => ({
  ...calmMetrics,
  total_orders,
  orders_completed,
  orders_failed
})

describe("the series of the chart", () => {
  it("has the mean rates of the last three seconds; retried orders are no negative failures", () => {
    const series = throughputSeries("")
    for (let second = 0; second <= 5; second++) {
      series.add(counts(10 * second, 5 * second, second < 3 ? second : 0), 1000 + second)
    }
    const [times, accepted, completed, failed] = series.columns
    assert.deepStrictEqual(times, [1001, 1002, 1003, 1004, 1005])
    assert.deepStrictEqual(accepted, [10, 10, 10, 10, 10])
    assert.deepStrictEqual(completed, [5, 5, 5, 5, 5])
    assert.deepStrictEqual(failed, [1, 1, 0, 0, 0])
  })

  it("leaves a gap where nobody watched, and where the counts begin anew", () => {
    const series = throughputSeries("")
    for (const [total, at] of [
      [0, 1000],
      [5, 1001],
      [90, 1011],
      [95, 1012],
      [3, 1013],
      [4, 1014]
    ] as const) {
      series.add(counts(total), at)
    }
    assert.deepStrictEqual(series.columns.slice(0, 2), [
      [1001, 1006, 1012, 1012.5, 1014],
      [5, null, 5, null, 1]
    ])
  })

  it("keeps five minutes, and shows whole minutes up to the newest point", () => {
    const series = throughputSeries("")
    assert.deepStrictEqual(series.window(1000), [940, 1000])
    for (let second = 0; second <= 400; second++) {
      series.add(counts(second), 1000 + second)
      if (second === 61) assert.deepStrictEqual(series.window(0), [1001, 1061])
      if (second === 62) assert.deepStrictEqual(series.window(0), [942, 1062])
    }
    assert.deepStrictEqual(series.window(0), [1100, 1400])
    assert.strictEqual(series.columns[0][0], 1098)
  })

  it("goes on from what was saved, and begins anew from anything else", () => {
    const before = throughputSeries("")
    before.add(counts(0), 1000)
    before.add(counts(7), 1001)
    const after = throughputSeries(before.saved())
    after.add(counts(9), 1002)
    assert.deepStrictEqual(after.columns.slice(0, 2), [
      [1001, 1002],
      [7, 4.5]
    ])
    for (const saved of ["", "{}", "null", "[]", "[[[1],[],[],[]]]", '[[["a"],[1],[1],[1]]]']) {
      assert.deepStrictEqual(throughputSeries(saved).columns, [[], [], [], []], saved)
    }
  })
})
