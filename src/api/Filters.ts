import { Schema } from "effect"
import { maxErrorCode, OrderId, Status, UserId, UserIdJson } from "../order/Order.ts"
import { DecimalNumber, WholeNumber } from "./Numbers.ts"
import { Time } from "./Time.ts"

export const OrderPath = Schema.Struct({ order_id: OrderId.annotations({ description: "The order's id" }) })

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

const limitTo = (most: number, fallback: number) =>
  Schema.optionalWith(
    WholeNumber(1, most).annotations({
      message: () => ({ message: `expected a whole number from 1 to ${most}`, override: true }),
      jsonSchema: { type: "integer", minimum: 1, maximum: most, default: fallback }
    }),
    { default: () => fallback }
  )

export const ListParameters = Schema.Struct({
  status: Schema.optional(Status),
  user_id: Schema.optional(UserId.annotations({ description: "Orders of this user" })),
  error_code: Schema.optional(ErrorCode.annotations({ description: "Failed orders with this last error" })),
  ...times,
  limit: limitTo(500, 50),
  cursor: Schema.optional(Cursor)
}).annotations({ parseOptions: { errors: "all", onExcessProperty: "error" } })

/** The id of a change, as a text. */
export const ChangeId = WholeNumber(0, Number.MAX_SAFE_INTEGER).annotations({
  message: () => ({ message: "expected the id of a change, which is a whole number; 0 for all", override: true })
})

const after = Schema.optional(
  ChangeId.annotations({
    jsonSchema: { type: "integer", minimum: 0, description: "The id of the last change that is known: those behind it" }
  })
)

/** How many seconds an answer may be kept back. */
export const Wait = (description: string) =>
  Schema.optional(
    DecimalNumber(0, 30).annotations({
      message: () => ({ message: "expected a number of seconds from 0 to 30", override: true }),
      jsonSchema: { type: "number", minimum: 0, maximum: 30, description }
    })
  )

const changeFilter = {
  order_id: Schema.optional(OrderId.annotations({ description: "Changes of this order" })),
  user_id: Schema.optional(UserId.annotations({ description: "Changes of this user's orders" })),
  status: Schema.optional(Status.annotations({ description: "Changes to this status" }))
}

/** Which changes: all that are given must fit. */
export const EventFilter = Schema.Struct(changeFilter)
export type EventFilter = typeof EventFilter.Type

/** Which changes to watch, and from where on; without `after`, from now on. */
export const EventParameters = Schema.Struct({ ...changeFilter, after }).annotations({
  parseOptions: { errors: "all", onExcessProperty: "error" }
})

/** Which changes to read, from where on, and for how long to wait if there is none; without `after`, from the oldest on. */
export const ChangeParameters = Schema.Struct({
  ...changeFilter,
  after,
  limit: limitTo(1000, 100),
  wait: Wait("Answer when there is a change, or after so many seconds")
}).annotations({ parseOptions: { errors: "all", onExcessProperty: "error" } })

export const HistoryParameters = Schema.Struct({ after, limit: limitTo(500, 100) }).annotations({
  parseOptions: { errors: "all", onExcessProperty: "error" }
})

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
