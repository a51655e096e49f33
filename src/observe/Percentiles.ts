import type { Metric, MetricKeyType, MetricState } from "effect"

type Timer = Metric.Metric<MetricKeyType.MetricKeyType.Histogram, number, MetricState.MetricState.Histogram>

/** How many values a timer measured in all up to each of its boundaries, and the largest. */
export interface Measured {
  readonly counts: ReadonlyArray<number>
  readonly max: number
}

/**
 * What a timer measured since now. The registry is one for the whole process, so what was in the timer before is taken
 * off.
 */
export const measuredSinceNow = (timer: Timer) => {
  const before = timer.unsafeValue([]).buckets
  return (): Measured => {
    const { buckets, max } = timer.unsafeValue([])
    return { counts: buckets.map(([, count], index) => count - (before[index]?.[1] ?? 0)), max }
  }
}

/** What several processes measured by the same boundaries. What was measured by others is left out. */
export const measuredTogether = (measured: ReadonlyArray<Measured>, boundaries: ReadonlyArray<number>): Measured => {
  const alike = measured.filter(({ counts }) => counts.length === boundaries.length)
  return {
    counts: boundaries.map((_, index) => alike.reduce((sum, { counts }) => sum + (counts[index] ?? 0), 0)),
    max: Math.max(0, ...alike.map(({ max }) => max))
  }
}

/** By those boundaries; 0 if nothing was measured. */
export const percentilesOf = ({ counts, max }: Measured, boundaries: ReadonlyArray<number>) => {
  const total = counts.at(-1) ?? 0
  const percentile = (share: number) => {
    const rank = share * total
    let [lower, below] = [0, 0]
    for (const [index, boundary] of boundaries.entries()) {
      const count = counts[index] ?? 0
      if (count >= rank && count > below) {
        const upper = Math.min(boundary, max)
        return lower + ((upper - lower) * (rank - below)) / (count - below)
      }
      lower = boundary
      below = count
    }
    return 0
  }
  return { p50: percentile(0.5), p95: percentile(0.95), p99: percentile(0.99) }
}
