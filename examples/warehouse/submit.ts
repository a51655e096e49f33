import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Client from "@order-backend/orders/Client"
import { NewOrder, Order } from "@order-backend/orders/Order"
import { Config, Console, Effect, Schema } from "effect"

const [order_id = "", ...item_ids] = process.argv.slice(2)

/** Submits an order, waits until it is final, and prints it. */
const program = Effect.gen(function* () {
  const baseUrl = yield* Config.string("ORDERS_URL").pipe(Config.withDefault("http://127.0.0.1:3000"))
  const client = yield* Client.make({ baseUrl })
  const payload = yield* Schema.decode(NewOrder)({ order_id, user_id: 1, item_ids, total_amount: "19.90" })
  yield* client.orders.submit({ payload })
  const order = yield* client.orders.find({ path: { order_id: payload.order_id }, urlParams: { wait: 30 } })
  yield* Console.log(JSON.stringify(yield* Schema.encode(Order.json)(order), null, 2))
})

NodeRuntime.runMain(program.pipe(Effect.provide(FetchHttpClient.layer)))
