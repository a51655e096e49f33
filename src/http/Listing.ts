import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Option, Schema } from "effect"
import { OrderList } from "../api/Answers.ts"
import { type ListParameters, pageBytes } from "../api/Filters.ts"
import { inTurn } from "../NextTurn.ts"
import type { Orders } from "../Orders.ts"
import { Order } from "../order/Order.ts"

const encodeOrder = Schema.encodeSync(Order.json)
const encodeList = Schema.encodeSync(OrderList)

/** What is written in one turn, counted as items: with a thousand in each, five hundred orders take a second. */
const mostAtOnce = 2000
/** What an order costs besides its items, as so many of them. */
const costOfOrder = 20
/** Bytes of a page besides its orders, at most. */
const around = 100

/**
 * The answer of a listing, as {@link OrderList} encodes it. Each order is written before the next ones are read, and the
 * event loop goes on meanwhile.
 */
export const makeListing = (orders: Orders["Type"]) =>
  Effect.fnUntraced(function* ({ cursor, limit, ...filter }: typeof ListParameters.Type) {
    const texts: Array<string> = []
    let size = around
    let cost = 0
    const next = yield* orders.list(filter, Option.fromNullable(cursor), limit, (order) => {
      const write = Effect.sync(() => {
        const text = JSON.stringify(encodeOrder(order))
        size += Buffer.byteLength(text) + 1
        if (size > pageBytes && texts.length > 0) return false
        texts.push(text)
        return true
      })
      cost += order.item_ids.length + costOfOrder
      if (cost < mostAtOnce) return write
      cost = 0
      return inTurn(write)
    })
    const { next_cursor } = encodeList(new OrderList({ orders: [], next_cursor: Option.getOrUndefined(next) }))
    const end = next_cursor === undefined ? "" : `,"next_cursor":${JSON.stringify(next_cursor)}`
    return HttpServerResponse.text(`{"orders":[${texts.join(",")}]${end}}`, { contentType: "application/json" })
  })
