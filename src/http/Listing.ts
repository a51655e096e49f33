import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Option, Schema } from "effect"
import { OrderList } from "../api/Answers.ts"
import { inTurn } from "../NextTurn.ts"
import { Order } from "../order/Order.ts"

const encodeOrder = Schema.encodeSync(Order.json)
const encodeList = Schema.encodeSync(OrderList)

/** What is written in one turn, counted as items: with a thousand in each, five hundred orders take a second. */
const mostAtOnce = 2000
/** What an order costs besides its items, as so many of them. */
const costOfOrder = 20

/** The orders in pieces that take some milliseconds to write. */
const pieces = (orders: ReadonlyArray<Order>) => {
  const pieces: Array<Array<Order>> = []
  let cost = Number.POSITIVE_INFINITY
  for (const order of orders) {
    cost += order.item_ids.length + costOfOrder
    if (cost > mostAtOnce) {
      pieces.push([])
      cost = order.item_ids.length + costOfOrder
    }
    pieces.at(-1)?.push(order)
  }
  return pieces
}

/** The answer of a listing, as {@link OrderList} encodes it, written in pieces so that the event loop goes on. */
export const listing = Effect.fnUntraced(function* (page: {
  readonly orders: ReadonlyArray<Order>
  readonly next: Option.Option<number>
}) {
  const texts: Array<string> = []
  for (const piece of pieces(page.orders)) {
    yield* inTurn(
      Effect.sync(() => {
        for (const order of piece) texts.push(JSON.stringify(encodeOrder(order)))
      })
    )
  }
  const { next_cursor } = encodeList(new OrderList({ orders: [], next_cursor: Option.getOrUndefined(page.next) }))
  const next = next_cursor === undefined ? "" : `,"next_cursor":${JSON.stringify(next_cursor)}`
  return HttpServerResponse.text(`{"orders":[${texts.join(",")}]${next}}`, { contentType: "application/json" })
})
