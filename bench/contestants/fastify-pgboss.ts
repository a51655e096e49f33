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

let completed = 0

/** Its own workers fetch every half second at best; in batches, by hand and at once, it does the most it can. */
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
if (process.env.PROCESSING === "on") void work()

await serveOrders({
  add: (orders) => {
    const [only] = orders
    return orders.length === 1 && only !== undefined
      ? boss.send(queue, only, { id: jobIdOf(only) })
      : boss.insert(
          queue,
          orders.map((data) => ({ id: jobIdOf(data), data }))
        )
  },
  counts: async () => {
    const { rows } = await boss
      .getDb()
      .executeSql("SELECT count(*)::int AS total FROM pgboss.job WHERE name = $1", [queue])
    return { total_orders: Number(rows[0]?.total), orders_completed: completed }
  }
})
