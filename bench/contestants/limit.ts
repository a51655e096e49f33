import * as Http from "node:http"
import { Predicate } from "effect"
import type { NewOrder } from "../NewOrder.ts"
import { openOrders, prepareCount, prepareInsert, rowOf } from "./OrdersTable.ts"

const db = openOrders("FULL")
const insert = prepareInsert(db)
const count = prepareCount(db)

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/
const moneyPattern = /^(0|[1-9][0-9]{0,10})(?:\.([0-9]{1,4}))?$/
const isId = (value: unknown): value is number | string =>
  typeof value === "number"
    ? Number.isSafeInteger(value) && value > 0
    : typeof value === "string" && idPattern.test(value)
const known = new Set(["order_id", "user_id", "item_ids", "total_amount", "currency", "metadata"])

const isNewOrder = (value: unknown): value is NewOrder =>
  Predicate.isRecord(value) &&
  Object.keys(value).every((key) => known.has(key)) &&
  isId(value.order_id) &&
  isId(value.user_id) &&
  Array.isArray(value.item_ids) &&
  value.item_ids.length >= 1 &&
  value.item_ids.length <= 1000 &&
  value.item_ids.every(isId) &&
  moneyPattern.test(String(value.total_amount)) &&
  (value.currency === undefined || /^[A-Z]{3}$/.test(String(value.currency))) &&
  (value.metadata === undefined || Predicate.isRecord(value.metadata))

interface Entry {
  readonly order: NewOrder
  readonly response: Http.ServerResponse
}
let batch: Array<Entry> = []

const commit = () => {
  const entries = batch
  batch = []
  const now = Date.now()
  db.exec("BEGIN IMMEDIATE")
  for (const { order } of entries) insert.run(rowOf(order, now))
  db.exec("COMMIT")
  for (const { order, response } of entries) {
    const body = `{"message":"Order received","order_id":${JSON.stringify(order.order_id)}}`
    response.writeHead(202, { "content-type": "application/json", "content-length": Buffer.byteLength(body) }).end(body)
  }
}

const accept = (text: string, response: Http.ServerResponse) => {
  const order: unknown = JSON.parse(text)
  if (!isNewOrder(order)) return response.writeHead(422).end()
  // What one turn of the event loop brings becomes one transaction.
  if (batch.length === 0) setImmediate(commit)
  batch.push({ order, response })
}

const server = Http.createServer((request, response) => {
  if (request.method !== "POST") {
    return response.end(JSON.stringify({ total_orders: count(), orders_completed: 0 }))
  }
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => accept(Buffer.concat(chunks).toString(), response))
})
server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  const address = server.address()
  if (typeof address === "object") process.stdout.write(`Listening on http://127.0.0.1:${address?.port}\n`)
})
