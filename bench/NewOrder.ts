/** An order as every contestant gets it. */
export interface NewOrder {
  readonly order_id: number | string
  readonly user_id: number | string
  readonly item_ids: ReadonlyArray<number | string>
  readonly total_amount: number | string
  readonly currency?: string
  readonly metadata?: { readonly [key: string]: unknown }
}

/** The order of every load; `wrk.lua` writes the same. */
export const newOrder = (order_id: number) => ({
  order_id,
  user_id: 1 + (order_id % 1000),
  item_ids: [1, 2, 3],
  total_amount: 250.7
})

/** What the tables of contestants have of it: id, user, items, amount, currency and metadata. */
export const columnsOf = (order: NewOrder) => [
  String(order.order_id),
  String(order.user_id),
  JSON.stringify(order.item_ids.map(String)),
  Math.round(Number(order.total_amount) * 10_000),
  order.currency ?? null,
  order.metadata === undefined ? null : JSON.stringify(order.metadata)
]

const id = {
  anyOf: [
    { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    { type: "string", pattern: "^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$" }
  ]
}

/** The rules of the service, as the JSON Schema that Fastify's validator compiles. */
export const newOrderSchema = {
  type: "object",
  required: ["order_id", "user_id", "item_ids", "total_amount"],
  additionalProperties: false,
  properties: {
    order_id: id,
    user_id: id,
    item_ids: { type: "array", minItems: 1, maxItems: 1000, items: id },
    total_amount: {
      anyOf: [
        { type: "number", minimum: 0, maximum: 99999999999.9999 },
        { type: "string", pattern: "^(0|[1-9][0-9]{0,10})(\\.[0-9]{1,4})?$" }
      ]
    },
    currency: { type: "string", pattern: "^[A-Z]{3}$" },
    metadata: { type: "object" }
  }
}
