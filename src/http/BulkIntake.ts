import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import { Array as Arr, Effect, Either, Option, ParseResult, Predicate } from "effect"
import { bulkCalls, bulkFaults, bulkOrders, orderLimit } from "../api/BodyRules.ts"
import { faults, maxFaults, TooManyCalls } from "../api/Problems.ts"
import { checked, Malformed, parseJson } from "../Json.ts"
import { nextTurn } from "../NextTurn.ts"
import type { Orders } from "../Orders.ts"
import { decodeNewOrder } from "../order/NewOrderDecoder.ts"
import { idInJson, idText, isOrderId } from "../order/Order.ts"
import type { Body } from "./RequestBody.ts"

/** So many are decoded and written at a time, so that a large call does not keep small ones waiting. */
const batch = 250

/** The id of a value that is not a valid order, if it has one at least. */
const idOf = (json: unknown) => {
  const id = Predicate.hasProperty(json, "order_id") ? idText(json.order_id) : ""
  return isOrderId(id) ? idInJson(id) : null
}

const decodeOne = (value: unknown, reported: "all" | "first") => {
  const json = checked(value)
  const whole = (detail: string) => Either.left([{ pointer: "", detail }])
  if (json instanceof Malformed) return whole(`it ${json.why}`)
  if (Buffer.byteLength(JSON.stringify(json)) > orderLimit)
    return whole(`an order may have at most ${orderLimit} bytes`)
  return Either.mapLeft(decodeNewOrder(json, reported), (error) =>
    faults(ParseResult.ArrayFormatter.formatErrorSync(error)).slice(0, maxFaults)
  )
}

const tooMany = (message: string) => new HttpApiDecodeError({ message, issues: [{ _tag: "Type", path: [], message }] })

/** Takes the orders of one bulk call; answers with one result each, in their order, and how many there are of each. */
export const takeMany = (orders: Orders["Type"]) => {
  const take = takeOne(orders)
  // Each is held in memory as a whole until it is answered.
  const calls = Effect.unsafeMakeSemaphore(bulkCalls)
  return (body: Body, traceparent: Option.Option<string>) =>
    Effect.flatMap(
      calls.withPermitsIfAvailable(1)(take(body, traceparent)),
      Option.match({ onNone: () => new TooManyCalls({ retry_after: 1 }), onSome: Effect.succeed })
    )
}

const takeOne = (orders: Orders["Type"]) =>
  Effect.fn("BulkIntake.takeMany")(function* (body: Body, traceparent: Option.Option<string>) {
    const values = body._tag === "Lines" ? body.lines : body.value
    if (!Array.isArray(values)) return yield* tooMany("expected a JSON array of orders, or lines of an order each")
    if (values.length > bulkOrders) return yield* tooMany(`expected at most ${bulkOrders} orders, not ${values.length}`)

    const count = { accepted: 0, replayed: 0, conflict: 0, invalid: 0, refused: 0 }
    const results: Array<{ readonly index: number; readonly result: keyof typeof count }> = []
    let faultCount = 0
    for (const [part, some] of Arr.chunksOf(values, batch).entries()) {
      yield* nextTurn
      const orderValues = body._tag === "Lines" ? some.map(parseJson) : some
      const decoded = orderValues.map((value) => {
        const order = decodeOne(value, faultCount < bulkFaults ? "all" : "first")
        if (Either.isLeft(order)) faultCount += order.left.length
        return order
      })
      const accepted = yield* orders.acceptMany(Arr.getRights(decoded), traceparent)
      let next = 0
      for (const [offset, order] of decoded.entries()) {
        const index = part * batch + offset
        const order_id = Either.isRight(order) ? idInJson(order.right.order_id) : idOf(orderValues[offset])
        const outcome = Either.isRight(order) ? accepted[next++] : undefined
        const result =
          Either.isLeft(order) || outcome === undefined
            ? { index, order_id, result: "invalid" as const, errors: Either.isLeft(order) ? order.left : [] }
            : Either.match(outcome, {
                onLeft: (error) =>
                  error._tag === "OrderConflict"
                    ? { index, order_id, result: "conflict" as const, fields: error.fields }
                    : { index, order_id, result: "refused" as const, retry_after: error.retry_after },
                onRight: ({ replay }) =>
                  Option.match(replay, {
                    onNone: () => ({ index, order_id, result: "accepted" as const }),
                    onSome: (status) => ({ index, order_id, result: "replayed" as const, status })
                  })
              })
        count[result.result] += 1
        results.push(result)
      }
    }
    return { ...count, results }
  })
