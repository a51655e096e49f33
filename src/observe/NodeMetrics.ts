import { Effect } from "effect"
import { collectDefaultMetrics, Registry } from "prom-client"

/** Gauges whose names end as only those of counters may; each is there a second time, by kind. */
const misnamed = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"]

const beginMeasuring = () => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const name of misnamed) registry.removeSingleMetric(name)
  return registry
}
let registry: Registry | undefined

/**
 * The metrics of the process and of Node, in the same format as ours. They are measured from the first call on, so that
 * it costs nothing where nobody looks.
 */
export const nodeMetrics = Effect.promise(() => {
  registry ??= beginMeasuring()
  return registry.metrics()
})
