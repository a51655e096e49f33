import { Schema } from "effect"
import type { OrderChange } from "../order/OrderChange.ts"
import { changeJson, fields } from "./Change.ts"

/** A committed change, as the data of an event named `order`. `status` is `to`, and `attempts` is `attempt`. */
export const OrderEvent = Schema.Struct({ ...fields, status: fields.to, attempts: fields.attempt }).annotations({
  identifier: "OrderEvent"
})
export type OrderEvent = typeof OrderEvent.Type
export type OrderEventJson = typeof OrderEvent.Encoded

/** The data of an event named `reset`: changes before `oldest` are not kept any more, and some of them are missing. */
export const Reset = Schema.Struct({
  oldest: Schema.NonNegativeInt.annotations({ description: "The id from which on all changes are kept" })
}).annotations({ identifier: "Reset" })

const text = (event: string, id: number, data: unknown) =>
  `event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`

/** The event as it goes out (WHATWG HTML, 9.2): its name, its id, its data in one line, and an empty line. */
export const eventText = (change: OrderChange) => {
  const json = changeJson(change)
  return text("order", change.id, { ...json, status: json.to, attempts: json.attempt })
}

/** Whoever resumes behind it, resumes with the oldest. */
export const resetText = (oldest: number) => text("reset", oldest - 1, { oldest })

/** No event, but the place to resume from if the connection ends before the next. */
export const placeText = (id: number) => `id: ${id}\n\n`
