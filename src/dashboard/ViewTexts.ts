import { statuses } from "../api/OrderEventJson.ts"
import { Outside, type Text } from "./Text.ts"
import type { View } from "./View.ts"

/** None is any. */
export const hasStatus = (status: string | undefined) =>
  status === undefined || statuses.some((known) => known === status)

const filterOf = ({ error_code, status }: View): ReadonlyArray<string | Outside> | undefined => {
  const isOther = status !== undefined && status !== "Failed" && hasStatus(status)
  if (error_code !== undefined) return [`${isOther ? `${status}, failed` : "Failed"} with `, new Outside(error_code)]
  return status === undefined || !hasStatus(status) ? undefined : [`${status} orders`]
}

/** All that the list is narrowed down by. */
export const titleOf = (view: View): Text => {
  const filter = filterOf(view)
  if (view.q === undefined) return filter ?? (hasStatus(view.status) ? "Newest orders" : "Orders")
  const id = new Outside(view.q)
  return filter === undefined ? ["Order or user ", id] : [...filter, ": order or user ", id]
}

export const noneText = ({ cursor, error_code, q, status }: View, goesOn: boolean): Text => {
  if (goesOn) return "None among the newest. Older ones are looked through by Older."
  if (cursor !== undefined) return "No older orders."
  if (q === undefined) return "No orders here yet."
  const filtered = status !== undefined || error_code !== undefined
  const id = new Outside(q)
  return filtered ? ["No such order with the id ", id, " or of a user ", id, "."] : ["No order and no user ", id, "."]
}
