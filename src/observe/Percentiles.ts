import type { Metric, MetricKeyType, MetricState } from "effect"

type Timer = Metric.Metric<MetricKeyType.MetricKeyType.Histogram, number, MetricState.MetricState.Histogram>

/**
 * Percentiles of what a timer measured since now. The registry is one for the whole process, so what was in the timer
 * before is taken off.
 */
export const percentilesSinceNow = (timer: Timer) => {
  const before = timer.unsafeValue([]).buckets
  return () => {
    const { buckets: now, max } = timer.unsafeValue([])
    const buckets = now.map(([boundary, count], index) => [boundary, count - (before[index]?.[1] ?? 0)] as const)
    const total = buckets.at(-1)?.[1] ?? 0
    const percentile = (share: number) => {
      const rank = share * total
      let [lower, below] = [0, 0]
      for (const [boundary, count] of buckets) {
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
}
