import type { NewOrder } from "../NewOrder.ts"
import { serveOrders } from "./FastifyOrders.ts"
import { openOrders, prepareCount, prepareInsert, rowOf } from "./OrdersTable.ts"

const db = openOrders(process.argv[2] ?? "FULL")
const insert = prepareInsert(db)
const count = prepareCount(db)
const insertMany = db.transaction((orders: ReadonlyArray<NewOrder>) => {
  const now = Date.now()
  for (const order of orders) insert.run(rowOf(order, now))
})

await serveOrders({
  add: async (orders) => {
    const [only] = orders
    if (orders.length === 1 && only !== undefined) insert.run(rowOf(only, Date.now()))
    else insertMany(orders)
  },
  counts: async () => ({ total_orders: count(), orders_completed: 0 })
})
