import { MetricBoundaries, Schema } from "effect"
import { measuredTogether, percentilesOf } from "./Percentiles.ts"

/** From 1 ms to 10 min, ten to a decade, in seconds. */
export const secondsBoundaries = MetricBoundaries.fromIterable([
  ...Array.from({ length: 58 }, (_, step) => Number((0.001 * 10 ** (step / 10)).toPrecision(3))),
  600
])

const Count = Schema.optionalWith(Schema.NonNegativeInt, { default: () => 0 })
const Measured = Schema.optionalWith(Schema.Struct({ counts: Schema.Array(Schema.Int), max: Schema.Number }), {
  default: () => ({ counts: [], max: 0 })
})

/** What a node counts and measures for itself, and others add to theirs. Another version may leave some of it out. */
export const Figures = Schema.Struct({
  workers: Count,
  workers_busy: Count,
  queue_depth: Count,
  queue_capacity: Count,
  orders_refused_last_minute: Count,
  processing_time: Measured,
  queue_wait: Measured
})
export type Figures = typeof Figures.Type

/** The figures of several nodes as those of one. */
export const together = (nodes: ReadonlyArray<Figures>) => {
  const sum = (of: (figures: Figures) => number) => nodes.reduce((sum, figures) => sum + of(figures), 0)
  const { values } = secondsBoundaries
  const percentiles = (of: (figures: Figures) => Figures["queue_wait"]) =>
    percentilesOf(measuredTogether(nodes.map(of), values), values)
  return {
    workers: sum(({ workers }) => workers),
    workers_busy: sum(({ workers_busy }) => workers_busy),
    queue_depth: sum(({ queue_depth }) => queue_depth),
    queue_capacity: sum(({ queue_capacity }) => queue_capacity),
    orders_refused_last_minute: sum(({ orders_refused_last_minute }) => orders_refused_last_minute),
    processing_time: percentiles(({ processing_time }) => processing_time),
    queue_wait: percentiles(({ queue_wait }) => queue_wait)
  }
}
