import type { MetricsJson } from "../../src/dashboard/ApiJson.ts"

/** The metrics of a service in which nothing is wrong. */
export const calmMetrics: MetricsJson = {
  ...{ total_orders: 500, orders_pending: 40, orders_processing: 10, orders_completed: 440, orders_failed: 10 },
  ...{ orders_cancelled: 0, total_processed: 450, average_processing_time: 1, queue_depth: 40, queue_capacity: 1000 },
  ...{ processing_time: { p50: 1, p95: 2, p99: 3 }, queue_wait: { p50: 1, p95: 2, p99: 3 }, workers: 10 },
  ...{ workers_busy: 10, processor: "webhook", accepted_per_second: 4, completed_per_second: 4, failed_per_second: 0 },
  ...{ orders_pending_limit: 50, orders_refused_last_minute: 0, oldest_due_seconds: 3 },
  last_finished: { finished: 100, failed: 2 },
  breaker: { state: "closed", failures_in_a_row: 0, last_error_code: null, opened_at: null, next_probe_at: null }
}
