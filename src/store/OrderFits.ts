import { DateTime, Option } from "effect"
import type { Order } from "../order/Order.ts"
import type { Filter } from "./Command.ts"

/** Whether an order fits the filter. */
export const orderFits =
  (filter: Filter) =>
  ({ order }: { readonly order: Order }) =>
    (filter.status ?? order.status) === order.status &&
    (filter.user_id ?? order.user_id) === order.user_id &&
    (filter.error_code === undefined ||
      (order.status === "Failed" && Option.exists(order.last_error, (error) => error.code === filter.error_code))) &&
    (filter.accepted_after === undefined || DateTime.greaterThanOrEqualTo(order.accepted_at, filter.accepted_after)) &&
    (filter.accepted_before === undefined || DateTime.lessThan(order.accepted_at, filter.accepted_before))
