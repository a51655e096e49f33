import { collectDefaultMetrics, Registry } from "prom-client"

/** Gauges whose names end as only those of counters may; each is there a second time, by kind. */
const misnamed = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"]

/** What is measured of the process and of Node, from the time this module is loaded. */
export const registry = new Registry()
collectDefaultMetrics({ register: registry })
for (const name of misnamed) registry.removeSingleMetric(name)
