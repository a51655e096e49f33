import { statuses } from "../api/OrderEventJson.ts"
import type { OrderJson } from "./ApiJson.ts"
import { readOrder, readOrders } from "./Client.ts"
import { messageOf, RequestFailed } from "./Requests.ts"
import { Outside, type Text } from "./Text.ts"
import { isId, notAnId, type View } from "./View.ts"
import { hasStatus } from "./ViewTexts.ts"

const pageSize = 50

/** What the list shows of a view. */
export interface OrderPage {
  readonly orders: ReadonlyArray<OrderJson>
  /** Where the next older page begins, if there is one. */
  readonly next: string | undefined
  /** Whether the order with the id that is searched for is the first one. */
  readonly hasMatch: boolean
  /** What is said of the order with that id if it was removed. */
  readonly removed: string | undefined
}

/** Whether the same would be refused again. */
export const isRefusal = (error: unknown) => {
  const status = error instanceof RequestFailed ? error.status : undefined
  return status !== undefined && status >= 400 && status < 500 && status !== 429
}

/** Why such a list is not asked for. */
export const faultOf = ({ q, status }: View): Text | undefined => {
  if (q !== undefined && !isId(q)) return notAnId
  if (status === undefined || hasStatus(status)) return undefined
  return ["There is no status “", new Outside(status), `”. The statuses are ${statuses.join(", ")}.`]
}

/** Why the list of the view could not be read. */
export const refusalText = (error: unknown, { cursor }: View) => {
  const isLostPage = isRefusal(error) && cursor !== undefined
  return isLostPage ? `There is no such page. Newest leads to the first one. ${messageOf(error)}` : messageOf(error)
}

type Match = Readonly<{ order?: OrderJson; removed?: string }>

/** On the first page, the order with that id if it is there and fits the filters, or what is said of it if it was removed. */
const readMatch = async (id: string | undefined, { cursor, error_code, status }: View): Promise<Match> => {
  if (id === undefined || cursor !== undefined) return {}
  try {
    const order = await readOrder(id)
    const code = order.last_error?.code
    return (status ?? order.status) === order.status && (error_code ?? code) === code ? { order } : {}
  } catch (error) {
    if (!isRefusal(error)) throw error
    return error instanceof RequestFailed && error.status === 410 ? { removed: error.message } : {}
  }
}

/** Reads the page of the view; before its orders, on the first page, comes the one with the id `match`. */
export const readPage = async (view: View, match: string | undefined): Promise<OrderPage> => {
  const { cursor, error_code, q, status } = view
  const filter = {
    ...(q !== undefined && { user_id: q }),
    ...(status !== undefined && { status }),
    ...(error_code !== undefined && { error_code }),
    ...(cursor !== undefined && { cursor })
  }
  const [{ next_cursor, orders }, { order, removed }] = await Promise.all([
    readOrders(filter, pageSize),
    readMatch(match, view)
  ])
  const others = orders.filter(({ order_id }) => String(order_id) !== String(order?.order_id))
  return {
    orders: order === undefined ? others : [order, ...others],
    next: next_cursor,
    hasMatch: order !== undefined,
    removed
  }
}
