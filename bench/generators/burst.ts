import * as Http from "node:http"
import { postOrder } from "../PostOrder.ts"
import { until } from "../Until.ts"

/** Opens so many connections at once, an order on each, and watches until all of them are Completed. */
const [url = "", given = "1"] = process.argv.slice(2)
const orders = Number(given)
const agent = new Http.Agent({ maxSockets: Number.POSITIVE_INFINITY })

const startedAt = performance.now()
const seconds = () => (performance.now() - startedAt) / 1000
const accepted = await Promise.all(Array.from({ length: orders }, (_, index) => postOrder(url, agent, index + 1)))
const answeredSeconds = seconds()
const refused = accepted.filter((is) => !is).length
if (refused > 0) throw new Error(`${refused} of ${orders} orders were not answered with 202`)

const completed = async () => {
  const metrics: unknown = await (await fetch(`${url}/api/metrics`)).json()
  return typeof metrics === "object" && metrics !== null && "orders_completed" in metrics
    ? Number(metrics.orders_completed)
    : 0
}
await until("every order is Completed", 120, async () => (await completed()) >= orders)
process.stdout.write(`RESULT ${JSON.stringify({ answeredSeconds, completedSeconds: seconds() })}\n`)
