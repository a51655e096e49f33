import { statuses } from "../api/OrderEventJson.ts"
import type { View } from "./View.ts"

/** None is any. */
export const hasStatus = (status: string | undefined) =>
  status === undefined || statuses.some((known) => known === status)

const filterOf = ({ error_code, status }: View) => {
  const isOther = status !== undefined && status !== "Failed" && hasStatus(status)
  if (error_code !== undefined) return `${isOther ? `${status}, failed` : "Failed"} with ${error_code}`
  return status === undefined || !hasStatus(status) ? undefined : `${status} orders`
}

/** All that the list is narrowed down by. */
export const titleOf = (view: View) => {
  const filter = filterOf(view)
  if (view.q === undefined) return filter ?? (hasStatus(view.status) ? "Newest orders" : "Orders")
  return filter === undefined ? `Order or user ${view.q}` : `${filter}: order or user ${view.q}`
}

export const noneText = ({ cursor, error_code, q, status }: View, goesOn: boolean) => {
  if (goesOn) return "None among the newest. Older ones are looked through by Older."
  if (cursor !== undefined) return "No older orders."
  if (q === undefined) return "No orders here yet."
  const filtered = status !== undefined || error_code !== undefined
  return filtered ? `No such order with the id ${q} or of a user ${q}.` : `No order and no user ${q}.`
}
