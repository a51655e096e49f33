import { Schema } from "effect"
import { JsonTime, OrderIdJson, Status, UserIdJson } from "../order/Order.ts"

/** A committed change of status, as the data of an event named `order` in the stream of `GET /api/events`. */
export const OrderEvent = Schema.Struct({
  order_id: OrderIdJson,
  status: Status,
  at: JsonTime,
  attempts: Schema.Int,
  user_id: UserIdJson
}).annotations({ identifier: "OrderEvent" })
export type OrderEvent = typeof OrderEvent.Type
export type OrderEventJson = typeof OrderEvent.Encoded

/** The event as it goes out (WHATWG HTML, 9.2): its name, its data in one line, and an empty line. */
export const eventText = (data: OrderEventJson) => `event: order\ndata: ${JSON.stringify(data)}\n\n`
