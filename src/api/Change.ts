import { DateTime, Option, Schema } from "effect"
import { idInJson, JsonTime, OrderIdJson, Status, UserIdJson } from "../order/Order.ts"
import { type OrderChange, reasons } from "../order/OrderChange.ts"

export const fields = {
  id: Schema.NonNegativeInt.annotations({ description: "Ascending in the order of commit" }),
  order_id: OrderIdJson,
  user_id: UserIdJson,
  from: Schema.NullOr(Status).annotations({ description: "null for a new order" }),
  to: Status,
  at: JsonTime,
  run: Schema.Int.annotations({ description: "The number of the order's latest run; 0 before the first" }),
  attempt: Schema.Int.annotations({ description: "The runs that count as attempts, after the change" }),
  reason: Schema.Literal(...reasons),
  error: Schema.NullOr(Schema.Struct({ code: Schema.String, message: Schema.String })).annotations({
    description: "Of a run that failed, was lost or was put back"
  }),
  next_attempt_at: Schema.NullOr(JsonTime).annotations({ description: "When the order runs again, if it is to wait" }),
  by: Schema.NullOr(Schema.String).annotations({ description: "The name of the key that asked for it" })
}

/** A committed change of an order's status, as its history keeps it. */
export const Change = Schema.Struct(fields).annotations({ identifier: "Change" })
export type Change = typeof Change.Type

/** What the schema makes of it, which for thousands at a time would take too long. A test compares the two. */
export const changeJson = (change: OrderChange): typeof Change.Encoded => ({
  id: change.id,
  order_id: idInJson(change.order_id),
  user_id: idInJson(change.user_id),
  from: Option.getOrNull(change.from),
  to: change.to,
  at: DateTime.formatIso(change.at),
  run: change.run,
  attempt: change.attempt,
  reason: change.reason,
  error: Option.getOrNull(change.error),
  next_attempt_at: Option.getOrNull(Option.map(change.next_attempt_at, DateTime.formatIso)),
  by: Option.getOrNull(change.by)
})
