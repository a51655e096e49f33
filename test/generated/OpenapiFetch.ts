import createClient from "openapi-fetch"
import type { components, paths } from "./schema.ts"

type NewOrder = components["schemas"]["NewOrder"]

/** What a shop does with the client of openapi-fetch, by the types of openapi-typescript. */
export const use = async (baseUrl: string, order_id: number) => {
  const metadata = { note: "gift", nested: { list: [1, "two", null] }, "": false }
  const order: NewOrder = { order_id, user_id: "u-1", item_ids: [1, "b"], total_amount: 9.5, metadata }
  const client = createClient<paths>({ baseUrl })
  const path = { order_id: String(order_id) }
  const submit = (body: NewOrder) => client.POST("/api/order", { body })

  const accepted = await submit(order)
  const conflict = await submit({ ...order, total_amount: "0.01" })
  const invalid = await submit({ ...order, item_ids: [] })
  const found = await client.GET("/api/order/{order_id}", { params: { path, query: { wait: 30 } } })
  const replayed = await submit(order)
  const listed = await client.GET("/api/orders", { params: { query: { status: "Failed", limit: 1 } } })
  const retried = await client.POST("/api/order/{order_id}/retry", { params: { path } })
  const missing = await client.GET("/api/order/{order_id}", { params: { path: { order_id: "no-such" } } })
  const many = await client.POST("/api/orders", { body: [{ ...order, order_id: `${order_id}-many` }] })

  return {
    statuses: [accepted, conflict, invalid, found, replayed, listed, retried, missing, many].map(
      ({ response }) => response.status
    ),
    received: [accepted.data, replayed.data],
    conflict: conflict.error && "fields" in conflict.error ? conflict.error.fields : [],
    invalid: invalid.error && "errors" in invalid.error ? invalid.error.errors.map(({ pointer }) => pointer) : [],
    missing: missing.error?.detail,
    metadata: found.data?.metadata,
    code: found.data?.last_error?.code,
    listed: listed.data?.orders.map(({ order_id }) => order_id),
    retried: retried.data?.order_id,
    many: many.data?.results.map(({ result }) => result)
  }
}
