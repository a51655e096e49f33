import { Array as Arr, DateTime, Number as Num, Option } from "effect"
import { transitions } from "../../order/Order.ts"
import type { AllFailures } from "../OrdersRepo.ts"
import type { StoredOrder } from "./OrdersTable.ts"

/** The Failed of the rows by error code. */
export const failureGroups = (rows: ReadonlyArray<StoredOrder>): AllFailures => {
  const failed = rows.flatMap(({ order }) =>
    order.status !== transitions.fail.to || Option.isNone(order.last_error) || Option.isNone(order.finished_at)
      ? []
      : [{ order_id: order.order_id, error_code: order.last_error.value.code, at: order.finished_at.value }]
  )
  const groups = Object.values(Arr.groupBy(failed, (failure) => failure.error_code))
    .map((same) => ({
      error_code: same[0].error_code,
      count: same.length,
      first_at: same.map((failure) => failure.at).reduce(DateTime.min),
      last_at: same.map((failure) => failure.at).reduce(DateTime.max),
      order_ids: same
        .slice(-5)
        .reverse()
        .map((failure) => failure.order_id)
    }))
    .sort((a, b) => b.count - a.count || (a.error_code < b.error_code ? -1 : 1))
  const others = groups.slice(100)
  const other = { count: Num.sumAll(others.map((group) => group.count)), groups: others.length }
  return { failures: groups.slice(0, 100), other }
}
