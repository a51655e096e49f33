import * as Http from "node:http"

/** One of the requests that ask for the most work within all limits. */
export interface WorstRequest {
  readonly name: string
  readonly method?: string
  readonly path?: string
  readonly headers?: Http.OutgoingHttpHeaders
  readonly body?: string
}

const bulkLimit = 8 * 1024 * 1024
const orderLimit = 65_536
const lines = { "content-type": "application/x-ndjson" }

/** As many parts as there may be within so many bytes, those around them included. */
const filled = (limit: number, around: number, partOf: (index: number) => string, between = ",", most = 4e6) => {
  const parts: Array<string> = []
  let size = around
  for (let index = 0; index < most; index++) {
    const part = partOf(index)
    size += part.length + between.length
    if (size > limit) break
    parts.push(part)
  }
  return parts.join(between)
}

const bulk = (partOf: (index: number) => string) => `[${filled(bulkLimit, 2, partOf, ",", 10_000)}]`

const text = (index: number, length: number) => String(index).padEnd(length, "x")

/** An order as large as one may be: 1,000 items, a metadata of 8 KiB. */
const fullOrder = (index: number, user_id = 1) =>
  JSON.stringify({
    order_id: text(index, 64),
    user_id,
    item_ids: Array.from({ length: 1000 }, (_, item) => text(item, 53)),
    total_amount: 1,
    metadata: Object.fromEntries(Array.from({ length: 480 }, (_, key) => [`key-${key}`, key]))
  })

const smallOrder = (order_id: string | number, rest: object = {}) =>
  JSON.stringify({ order_id, user_id: 1, item_ids: [1], total_amount: 1, ...rest })

/** An order of 64 KiB whose field has as many members as fit. */
const wideOrder = (
  index: number,
  field: string,
  [open = "", close = ""]: string,
  partOf: (index: number) => string
) => {
  const order = smallOrder(text(index, 10), { [field]: "here" })
  return order.replace('"here"', open + filled(orderLimit, order.length, partOf) + close)
}

const member = (index: number) => `"${index.toString(36)}":0`

export const fullOrders: WorstRequest = { name: "orders of 64 KiB, accepted", body: bulk(fullOrder) }

/** What is asked of an empty service, in this order: some are about the orders before them. */
export const worstRequests: ReadonlyArray<WorstRequest> = [
  { name: "an order of 8 MiB, a field after the other", body: `[{"metadata":{${filled(bulkLimit, 20, member)}}}]` },
  { name: "8 MiB of [", body: "[".repeat(bulkLimit) },
  { name: "4 million lines", body: "1\n".repeat(bulkLimit / 2), headers: lines },
  { name: "8 MiB of line ends", body: "\n".repeat(bulkLimit), headers: lines },
  { name: "2.8 million {}", body: `[${filled(bulkLimit, 2, () => "{}")}]` },
  { name: "10,000 lists of 278 {}", body: bulk(() => `[${Array(278).fill("{}").join(",")}]`) },
  {
    name: "10,000 orders of 90 unknown fields",
    body: bulk((index) => `{${filled(830, 2, (part) => member(part + index))}}`)
  },
  { name: "lines that open a text", body: `${'\\"'.padEnd(835)}x\n`.repeat(10_000), headers: lines },
  { name: "orders of 64 KiB, bad items", body: bulk((index) => wideOrder(index, "item_ids", "[]", () => "0")) },
  {
    name: "orders of 1,000 bad items",
    body: bulk((index) => smallOrder(index + 1, { item_ids: Array(1000).fill(0) }))
  },
  { name: "orders of 64 KiB, wide metadata", body: bulk((index) => wideOrder(index, "metadata", "{}", member)) },
  { name: "10,000 orders, accepted", body: bulk((index) => smallOrder(`n-${index}`)) },
  { name: "10,000 orders, replayed", body: bulk((index) => smallOrder(`n-${index}`)) },
  fullOrders,
  { ...fullOrders, name: "orders of 64 KiB, replayed" },
  { name: "orders of 64 KiB, in conflict", body: bulk((index) => fullOrder(index, 2)) },
  { name: "10,000 orders in conflict with those", body: bulk((index) => smallOrder(text(index % 128, 64))) },
  { name: "one order of 64 KiB, replayed", path: "/api/order", body: fullOrder(1) },
  { name: "one order, 1,000 bad items", path: "/api/order", body: smallOrder(1, { item_ids: Array(1000).fill(0) }) },
  { name: "one order, wide metadata", path: "/api/order", body: wideOrder(1, "metadata", "{}", member) },
  { name: "a page of orders of 64 KiB", method: "GET", path: "/api/orders?limit=500" },
  { name: "an id of 15 KiB", method: "GET", path: `/api/order/${"x".repeat(15_000)}` },
  {
    name: "4,000 unknown parameters",
    method: "GET",
    path: `/api/orders?${filled(15_000, 0, (index) => index.toString(36), "&")}`
  },
  { name: "3,000 statuses", method: "GET", path: `/api/orders?${filled(15_000, 0, () => "status=a", "&")}` },
  { name: "a time of 15 KiB", method: "GET", path: `/api/orders?accepted_after=${"2026-01-01T".padEnd(15_000, "0")}` },
  {
    name: "headers of 15 KiB",
    method: "GET",
    path: "/api/orders",
    headers: Object.fromEntries(Array.from({ length: 1500 }, (_, index) => [`h${index}`, "1"]))
  },
  {
    name: "a cookie of 15 KiB",
    method: "GET",
    path: "/api/orders",
    headers: { cookie: filled(15_000, 0, (index) => `${index}=`, ";") }
  },
  { name: "the description of the API", method: "GET", path: "/openapi.json" },
  { name: "the page of the API", method: "GET", path: "/docs" },
  { name: "the metrics for Prometheus", method: "GET", path: "/metrics" }
]

/** Sends it on a connection of its own: the status of the answer, and its bytes. */
export const sendWorst = (url: string, { body, headers, method = "POST", path = "/api/orders" }: WorstRequest) =>
  new Promise<{ readonly status: number; readonly bytes: number }>((resolve, reject) => {
    const type =
      body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }
    Http.request(`${url}${path}`, { method, headers: { ...type, ...headers }, agent: false })
      .on("response", (response) => {
        let bytes = 0
        response
          .on("data", (chunk: Buffer) => {
            bytes += chunk.length
          })
          .on("end", () => resolve({ status: response.statusCode ?? 0, bytes }))
          .on("error", reject)
      })
      .on("error", reject)
      .end(body)
  })
