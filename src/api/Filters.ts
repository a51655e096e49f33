import { Schema } from "effect"
import { maxErrorCode, OrderId, Status, UserId, UserIdJson } from "../order/Order.ts"
import { WholeNumber } from "./Numbers.ts"
import { Time } from "./Time.ts"

const ErrorCode = Schema.String.pipe(Schema.minLength(1), Schema.maxLength(maxErrorCode))
const times = {
  accepted_after: Schema.optional(Time.annotations({ description: "Accepted at this time or later" })),
  accepted_before: Schema.optional(Time.annotations({ description: "Accepted before this time" }))
}

/** A place in a listing: after the order of that key. Opaque to clients. */
export const Cursor = Schema.compose(Schema.StringFromBase64Url, WholeNumber(1, Number.MAX_SAFE_INTEGER)).annotations({
  message: () => ({ message: "expected the next_cursor of an earlier answer", override: true }),
  jsonSchema: { type: "string", description: "The next_cursor of the page before" }
})

/** Bytes of a page of a listing, at most; one of one order may have more. */
export const pageBytes = 1024 * 1024

export const ListParameters = Schema.Struct({
  status: Schema.optional(Status),
  user_id: Schema.optional(UserId.annotations({ description: "Orders of this user" })),
  error_code: Schema.optional(ErrorCode.annotations({ description: "Failed orders with this last error" })),
  ...times,
  limit: Schema.optionalWith(
    WholeNumber(1, 500).annotations({
      message: () => ({ message: "expected a whole number from 1 to 500", override: true }),
      jsonSchema: { type: "integer", minimum: 1, maximum: 500, default: 50 }
    }),
    { default: () => 50 }
  ),
  cursor: Schema.optional(Cursor)
}).annotations({ parseOptions: { errors: "all", onExcessProperty: "error" } })

/** Which changes to watch: all that are given must fit. */
export const EventParameters = Schema.Struct({
  order_id: Schema.optional(OrderId.annotations({ description: "Changes of this order" })),
  user_id: Schema.optional(UserId.annotations({ description: "Changes of this user's orders" })),
  status: Schema.optional(Status)
}).annotations({ parseOptions: { errors: "all", onExcessProperty: "error" } })
export type EventFilter = typeof EventParameters.Type

/** Which orders to retry: all that are given must fit; with none given, all Failed ones. */
export const RetryFilter = Schema.Struct({
  status: Schema.optionalWith(
    Schema.Literal("Failed", "Cancelled").annotations({
      message: () => ({ message: "expected Failed or Cancelled", override: true })
    }),
    { default: () => "Failed" as const }
  ),
  user_id: Schema.optional(UserIdJson),
  error_code: Schema.optional(ErrorCode),
  ...times
}).annotations({ identifier: "RetryFilter", parseOptions: { errors: "all", onExcessProperty: "error" } })
