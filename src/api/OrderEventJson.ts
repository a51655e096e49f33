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

const isId = (value: unknown) => typeof value === "number" || typeof value === "string"

/** Accepts what the encoded side of the schema `OrderEvent` accepts, without the library. */
export const isOrderEventJson = (value: unknown): value is OrderEventJson =>
  typeof value === "object" &&
  value !== null &&
  "order_id" in value &&
  isId(value.order_id) &&
  "status" in value &&
  statuses.some((status) => status === value.status) &&
  "at" in value &&
  typeof value.at === "string" &&
  "attempts" in value &&
  typeof value.attempts === "number" &&
  "user_id" in value &&
  isId(value.user_id)
