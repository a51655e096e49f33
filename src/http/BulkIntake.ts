import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import { Array as Arr, Effect, Either, Option, ParseResult, Predicate } from "effect"
import { bulkCalls, bulkCallsWaiting, bulkFaults, bulkOrders, orderLimit } from "../api/BodyRules.ts"
import { type Fault, faults, maxFaults } from "../api/InvalidRequest.ts"
import { TooManyCalls } from "../api/Problems.ts"
import { Malformed } from "../Json.ts"
import { Excessive, fieldOf, type Piece, parsePiece } from "../JsonBytes.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { inTurn } from "../NextTurn.ts"
import type { Acceptance, Orders } from "../Orders.ts"
import { decodeNewOrder } from "../order/NewOrderDecoder.ts"
import { type BacklogFull, idInJson, idText, isOrderId, type NewOrder, type OrderConflict } from "../order/Order.ts"
import { RequestAccess } from "./Access.ts"
import type { Body } from "./RequestBody.ts"

/**
 * What is decoded and written at a time, at most, so that a large call does not keep small ones waiting: orders, their
 * bytes, and the milliseconds that decoding them takes.
 */
const batch = { orders: 250, bytes: 256 * 1024, millis: 25 }

/** The longest pointer to a fault in it: as many as may be bad would make an answer larger than their call. */
const maxPointer = 200

interface Invalid {
  readonly order_id: number | string | null
  readonly errors: ReadonlyArray<typeof Fault.Type>
}

const whole = (order_id: Invalid["order_id"], detail: string) =>
  Either.left({ order_id, errors: [{ pointer: "", detail }] })

/** The id of a value that is not a valid order, if it has one at least. */
const idOf = (value: unknown) => {
  const id = idText(value)
  return isOrderId(id) ? idInJson(id) : null
}

const decodePiece = (bytes: Buffer, piece: Piece, reported: "all" | "first"): Either.Either<NewOrder, Invalid> => {
  const idOfPiece = () => idOf(fieldOf(bytes, piece, "order_id"))
  if (piece.end - piece.start > orderLimit) {
    return whole(idOfPiece(), `an order may have at most ${orderLimit} bytes`)
  }
  const json = parsePiece(bytes, piece)
  if (json instanceof Malformed) return whole(json instanceof Excessive ? idOfPiece() : null, `it ${json.why}`)
  return Either.mapLeft(decodeNewOrder(json, reported), (error) => ({
    order_id: Predicate.hasProperty(json, "order_id") ? idOf(json.order_id) : null,
    errors: faults(ParseResult.ArrayFormatter.formatErrorSync(error))
      .slice(0, maxFaults)
      .map((fault) =>
        fault.pointer.length <= maxPointer
          ? fault
          : { pointer: "", detail: `the name of a field in it is longer than ${maxPointer} characters` }
      )
  }))
}

/** The order is beyond the rate of the key that its call was sent with. */
interface RateUsedUp {
  readonly _tag: "RateUsedUp"
  readonly retry_after: number
}

const resultOf = (
  index: number,
  order: Either.Either<NewOrder, Invalid>,
  outcome: Either.Either<Acceptance, OrderConflict | BacklogFull | RateUsedUp> | undefined
) => {
  if (Either.isLeft(order)) {
    const { errors, order_id } = order.left
    return { index, order_id, result: "invalid" as const, errors }
  }
  const order_id = idInJson(order.right.order_id)
  if (outcome === undefined) return { index, order_id, result: "invalid" as const, errors: [] }
  return Either.match(outcome, {
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
}

const refused = (message: string) => new HttpApiDecodeError({ message, issues: [{ _tag: "Type", path: [], message }] })

/**
 * Takes the orders of one bulk call; answers with one result each, in their order, and how many there are of each. A call
 * that waits for its turn is held as the bytes it came in.
 */
export const makeTakeMany = Effect.fnUntraced(function* (orders: Orders["Type"]) {
  const take = takeOne(orders, yield* monotonicMillis)
  const turns = Effect.unsafeMakeSemaphore(bulkCalls)
  let calls = 0
  return Effect.fnUntraced(function* (body: Body, traceparent: Option.Option<string>) {
    if (calls >= bulkCalls + bulkCallsWaiting) return yield* new TooManyCalls({ retry_after: 1 })
    calls += 1
    return yield* Effect.ensuring(
      turns.withPermits(1)(take(body, traceparent)),
      Effect.sync(() => {
        calls -= 1
      })
    )
  })
})

const takeOne = (orders: Orders["Type"], monotonic: () => number) =>
  Effect.fn("BulkIntake.takeMany")(function* (body: Body, traceparent: Option.Option<string>) {
    if (body._tag === "Json") {
      return yield* refused("expected a JSON array of orders, or lines of an order each as application/x-ndjson")
    }
    const { bytes, pieces } = body
    if (pieces.length > bulkOrders) return yield* refused(`expected at most ${bulkOrders} orders, not more`)

    let faultCount = 0
    const decodeFrom = (first: number) => {
      const decoded: Array<Either.Either<NewOrder, Invalid>> = []
      const until = monotonic() + batch.millis
      let size = 0
      for (const piece of pieces.slice(first, first + batch.orders)) {
        const order = decodePiece(bytes, piece, faultCount < bulkFaults ? "all" : "first")
        if (Either.isLeft(order)) faultCount += order.left.errors.length
        decoded.push(order)
        size += piece.end - piece.start
        if (size >= batch.bytes || monotonic() >= until) break
      }
      return decoded
    }

    const { rate } = yield* RequestAccess
    let beyondRate = 0
    /** Each order takes one from the rate of the key, but for the first, whose place the call itself has taken. */
    const permitted = (first: number, count: number) =>
      rate === undefined ? count : first === 0 ? 1 + rate.take(count - 1) : rate.take(count)
    const usedUp = (): Either.Either<never, RateUsedUp> => {
      beyondRate += 1
      return Either.left({ _tag: "RateUsedUp", retry_after: rate?.secondsUntil(beyondRate) ?? 1 })
    }

    const count = { accepted: 0, replayed: 0, conflict: 0, invalid: 0, refused: 0 }
    const results: Array<ReturnType<typeof resultOf>> = []
    while (results.length < pieces.length) {
      const decoded = yield* inTurn(Effect.sync(() => decodeFrom(results.length)))
      const within = decoded.slice(0, permitted(results.length, decoded.length))
      const accepted = yield* orders.acceptMany(Arr.getRights(within), traceparent)
      let next = 0
      for (const [place, order] of decoded.entries()) {
        const outcome = Either.isLeft(order) ? undefined : place < within.length ? accepted[next++] : usedUp()
        const result = resultOf(results.length, order, outcome)
        count[result.result] += 1
        results.push(result)
      }
    }
    return { ...count, results }
  })
