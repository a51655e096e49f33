import { Queue, Worker } from "bullmq"
import { serveOrders } from "./FastifyOrders.ts"

const connection = { host: "127.0.0.1", port: Number(process.env.REDIS_PORT) }
const queue = new Queue("orders", { connection })

// The order's id is the job's, so that an order sent again is not a second job. BullMQ refuses ids that are numbers.
const jobOf = (order: { readonly order_id: number | string }) => ({
  name: "order",
  data: order,
  opts: { jobId: `order-${order.order_id}` }
})

if (process.env.PROCESSING === "on") {
  const worker = new Worker("orders", async () => {}, { connection, concurrency: 100 })
  worker.on("error", () => {})
}

await serveOrders({
  add: (orders) => {
    const [only] = orders
    if (orders.length !== 1 || only === undefined) return queue.addBulk(orders.map(jobOf))
    const { data, name, opts } = jobOf(only)
    return queue.add(name, data, opts)
  },
  counts: async () => {
    const counts = await queue.getJobCounts()
    return {
      total_orders: Object.values(counts).reduce((sum, count) => sum + count, 0),
      orders_completed: counts.completed ?? 0
    }
  }
})
