import { createClient, createConfig } from "./hey-api/client/index.js"
import { ordersFind, ordersList, ordersRetry, ordersSubmit, ordersSubmitMany } from "./hey-api/sdk.gen.ts"
import type { NewOrder } from "./hey-api/types.gen.ts"
import {
  zOrdersFindResponse,
  zOrdersListResponse,
  zOrdersSubmitManyResponse,
  zOrdersSubmitResponse
} from "./hey-api/zod.gen.ts"

/** What a shop does with the client of Hey API, and how Zod finds what it gets. */
export const use = async (baseUrl: string, order_id: number) => {
  const metadata = { note: "gift", nested: { list: [1, "two", null] }, "": false }
  const order: NewOrder = { order_id, user_id: "u-1", item_ids: [1, "b"], total_amount: 9.5, metadata }
  const client = createClient(createConfig({ baseUrl }))
  const path = { order_id: String(order_id) }
  const submit = (body: NewOrder) => ordersSubmit({ client, body })

  const accepted = await submit(order)
  const conflict = await submit({ ...order, total_amount: "0.01" })
  const invalid = await submit({ ...order, item_ids: [] })
  const found = await ordersFind({ client, path, query: { wait: 30 } })
  const replayed = await submit(order)
  const listed = await ordersList({ client, query: { status: "Failed", limit: 1 } })
  const retried = await ordersRetry({ client, path })
  const missing = await ordersFind({ client, path: { order_id: "no-such" } })
  const many = await ordersSubmitMany({ client, body: [{ ...order, order_id: `${order_id}-many` }] })

  return {
    statuses: [accepted, conflict, invalid, found, replayed, listed, retried, missing, many].map(
      ({ response }) => response?.status
    ),
    received: [accepted.data, replayed.data].map((data) => zOrdersSubmitResponse.parse(data)),
    conflict: conflict.error && "fields" in conflict.error ? conflict.error.fields : [],
    invalid: invalid.error && "errors" in invalid.error ? invalid.error.errors.map(({ pointer }) => pointer) : [],
    missing: missing.error && "detail" in missing.error ? missing.error.detail : undefined,
    metadata: zOrdersFindResponse.parse(found.data).metadata,
    code: found.data?.last_error?.code,
    listed: zOrdersListResponse.parse(listed.data).orders.map(({ order_id }) => order_id),
    retried: retried.data?.order_id,
    many: zOrdersSubmitManyResponse.parse(many.data).results.map(({ result }) => result)
  }
}
