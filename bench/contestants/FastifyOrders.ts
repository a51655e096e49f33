import fastify from "fastify"
import { type NewOrder, newOrderSchema } from "../NewOrder.ts"

const order_id = { type: ["integer", "string"] }
const response = (properties: Record<string, unknown>) => ({ "2xx": { type: "object", properties } })
const receivedSchema = response({ message: { type: "string" }, order_id })
const resultsSchema = response({
  accepted: { type: "integer" },
  results: {
    type: "array",
    items: { type: "object", properties: { index: { type: "integer" }, order_id, result: { type: "string" } } }
  }
})

/** The same two routes on Fastify, checked and answered by JSON Schema, in front of whatever keeps the orders. */
export const serveOrders = async ({
  add,
  counts
}: {
  /** Answers when they are stored as durably as they will be. */
  readonly add: (orders: ReadonlyArray<NewOrder>) => Promise<unknown>
  readonly counts: () => Promise<{ readonly total_orders: number; readonly orders_completed: number }>
}) => {
  const app = fastify({
    logger: false,
    bodyLimit: 8 * 1024 * 1024,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } }
  })
  app.post<{ Body: NewOrder }>(
    "/api/order",
    { schema: { body: newOrderSchema, response: receivedSchema } },
    async ({ body }, reply) => {
      await add([body])
      reply.code(202)
      return { message: "Order received", order_id: body.order_id }
    }
  )
  app.post<{ Body: ReadonlyArray<NewOrder> }>(
    "/api/orders",
    { schema: { body: { type: "array", items: newOrderSchema }, response: resultsSchema } },
    async ({ body }) => {
      await add(body)
      return {
        accepted: body.length,
        results: body.map(({ order_id }, index) => ({ index, order_id, result: "accepted" }))
      }
    }
  )
  app.get("/api/metrics", counts)
  process.stdout.write(`Listening on ${await app.listen({ host: "127.0.0.1", port: 0, backlog: 4096 })}\n`)
}
