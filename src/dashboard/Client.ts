import { accept, may } from "./Access.ts"
import type { ChangeJson, FailuresJson, HistoryJson, ListJson, MetricsJson, NodeJson, OrderJson } from "./ApiJson.ts"
import { currentKey } from "./KeptKey.ts"
import { askCaller, RequestFailed, read, readNow, readOpen, send } from "./Requests.ts"

const readMillis = 10_000
/** A service that stands still is to be seen soon. */
const pollMillis = 4000
const sendMillis = 15_000
/** A million orders are retried in one request. */
const sendManyMillis = 120_000

/** As many as the service gives at once. */
const historyPage = 500

const pathOf = (id: string) => `api/order/${encodeURIComponent(id)}`

/** Whom the service takes the page for, from now on. */
export const readAccess = async () => {
  const key = currentKey()
  accept(key, await askCaller(pollMillis))
}

/** Nothing if the key is not good for it. */
export const readMetrics = async (): Promise<MetricsJson | undefined> =>
  may("metrics") ? (await readNow("api/metrics", pollMillis)).json() : undefined

export const readNodes = async (): Promise<ReadonlyArray<NodeJson>> =>
  (await (await readNow("api/nodes", pollMillis)).json()).nodes

/** Why the service is not ready; nothing if it is. */
export const readReadiness = async (): Promise<string | undefined> => {
  try {
    await readOpen("readyz", pollMillis)
    return undefined
  } catch (error) {
    if (error instanceof RequestFailed && error.status !== undefined) return error.message
    throw error
  }
}

export const readOrder = async (id: string): Promise<OrderJson> => (await read("read", pathOf(id), readMillis)).json()

/** All changes of the order behind the one with that id, oldest first. */
export const readHistory = async (id: string, after: number): Promise<ReadonlyArray<ChangeJson>> => {
  const found: Array<ChangeJson> = []
  let next = String(after)
  while (true) {
    const query = new URLSearchParams({ after: next, limit: String(historyPage) })
    const page: HistoryJson = await (await read("read", `${pathOf(id)}/history?${query}`, readMillis)).json()
    found.push(...page.changes)
    if (page.next === undefined) return found
    next = page.next
  }
}

/** Where orders that fit are rare a page ends before it is full; then the next part of it is asked for, for so long. */
const gatherMillis = 10_000

export const readOrders = async (filter: Readonly<Record<string, string>>, limit: number): Promise<ListJson> => {
  const until = performance.now() + gatherMillis
  const found: Array<OrderJson> = []
  let cursor: Readonly<Record<string, string>> = {}
  while (true) {
    const query = new URLSearchParams({ ...filter, limit: String(limit - found.length), ...cursor })
    const { next_cursor, orders }: ListJson = await (await read("read", `api/orders?${query}`, readMillis)).json()
    found.push(...orders)
    if (next_cursor === undefined) return { orders: found }
    if (found.length >= limit || performance.now() >= until) return { orders: found, next_cursor }
    cursor = { cursor: next_cursor }
  }
}

export const readFailures = async (): Promise<FailuresJson> => (await readNow("api/failures", readMillis)).json()

export const act = async (id: string, verb: "cancel" | "retry"): Promise<OrderJson> =>
  (await send(`${pathOf(id)}/${verb}`, sendMillis)).json()

/** All Failed orders, or those with that code. How many are retried. */
export const retryMany = async (error_code?: string): Promise<number> => {
  const { retried }: { retried: number } = await (
    await send("api/orders/retry", sendManyMillis, error_code === undefined ? {} : { error_code })
  ).json()
  return retried
}

export const submitMany = async (orders: ReadonlyArray<object>): Promise<{ accepted: number; refused: number }> =>
  (await send("api/orders", sendMillis, orders)).json()
