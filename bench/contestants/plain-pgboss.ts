import { Pool } from "pg"
import { PgBoss, type WorkOptions } from "pg-boss"
import { columnsOf, type NewOrder } from "../NewOrder.ts"
import { serveOrders } from "./FastifyOrders.ts"

const queue = "orders"
const connectionString = process.env.POSTGRES_URL ?? ""
const pool = new Pool({ connectionString, max: 16 })
const boss = new PgBoss({ connectionString, max: 4 })
boss.on("error", () => {})
pool.on("error", () => {})
await boss.start()
await boss.createQueue(queue)

let added = 0
let completed = 0

/** An order and its job in one transaction. One that is sent again is there already. */
const add = async (order: NewOrder) => {
  const client = await pool.connect()
  try {
    await client.query("BEGIN")
    const { rowCount } = await client.query({
      name: "insert",
      text: `
        INSERT INTO plain_orders (order_id, status, user_id, item_ids, total_amount, currency, metadata, accepted_at)
        VALUES ($1, 'Pending', $2, $3, $4, $5, $6, $7)
        ON CONFLICT (order_id) DO NOTHING`,
      values: [...columnsOf(order), Date.now()]
    })
    if (rowCount === 1) {
      await boss.send(
        queue,
        { id: order.order_id },
        { db: { executeSql: (text, values) => client.query(text, values) } }
      )
    }
    await client.query("COMMIT")
    client.release()
  } catch (error) {
    client.release(true)
    throw error
  }
  added += 1
}

const complete = {
  name: "complete",
  text: "UPDATE plain_orders SET status = 'Completed', finished_at = $2 WHERE order_id = ANY ($1)"
}

/** Whether each order's end is written as it comes, or those of a batch once its last has ended. */
const writesBatches = process.env.WRITES === "batches"

const end = async (ids: ReadonlyArray<NewOrder["order_id"]>) => {
  await pool.query({ ...complete, values: [ids.map(String), Date.now()] })
  completed += ids.length
}

/** The processor does nothing, so that orders are only to be written down; pg-boss settles the jobs of a batch behind it. */
const settings: WorkOptions = JSON.parse(process.env.WORK ?? "{}")
await boss.work<{ id: NewOrder["order_id"] }>(queue, settings, async (jobs) => {
  const ids = jobs.map(({ data }) => data.id)
  await (writesBatches ? end(ids) : Promise.all(ids.map((id) => end([id]))))
})

await serveOrders({
  add: (orders) => Promise.all(orders.map(add)),
  counts: async () => ({ total_orders: added, orders_completed: completed })
})
