import type { Status } from "../order/Order.ts"
import type { OrderEventJson } from "./OrderEvent.ts"

/** Every status. It is not taken from the schema, with which Effect would come into the script of the dashboard. */
export const statuses = [
  "Pending",
  "Processing",
  "Completed",
  "Failed",
  "Cancelled"
] as const satisfies ReadonlyArray<Status>

/** Every reason of a change, for the same reason. */
export const reasons = [
  "accepted",
  "claimed",
  "completed",
  "failed",
  "retry_scheduled",
  "put_back",
  "lost",
  "cancelled",
  "retried"
] as const satisfies ReadonlyArray<OrderEventJson["reason"]>

type Check = (value: unknown) => boolean

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null
const isNumber: Check = (value) => typeof value === "number"
const isText: Check = (value) => typeof value === "string"
const isId: Check = (value) => isNumber(value) || isText(value)
const isStatus: Check = (value) => statuses.some((status) => status === value)
const isReason: Check = (value) => reasons.some((reason) => reason === value)
const isError: Check = (value) => isRecord(value) && isText(value.code) && isText(value.message)
const orNull =
  (is: Check): Check =>
  (value) =>
    value === null || is(value)

const checks: Readonly<Record<keyof OrderEventJson, Check>> = {
  id: isNumber,
  order_id: isId,
  user_id: isId,
  from: orNull(isStatus),
  to: isStatus,
  at: isText,
  run: isNumber,
  attempt: isNumber,
  reason: isReason,
  error: orNull(isError),
  next_attempt_at: orNull(isText),
  by: orNull(isText),
  status: isStatus,
  attempts: isNumber
}

const checked = Object.entries(checks)

/** Accepts what the encoded side of the schema `OrderEvent` accepts, without the library. */
export const isOrderEventJson = (value: unknown): value is OrderEventJson =>
  isRecord(value) && checked.every(([field, is]) => is(value[field]))
