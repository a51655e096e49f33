import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import type * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Either, Option, Schema } from "effect"
import { Authorization } from "../api/Access.ts"
import { type Acceptance, Orders } from "../Orders.ts"
import { traceparentOf } from "../observe/TraceContext.ts"
import { decodeNewOrder } from "../order/NewOrderDecoder.ts"
import { idInJson } from "../order/Order.ts"
import { refusing } from "./Refusal.ts"
import { type Body, jsonOf } from "./RequestBody.ts"
import { type Route, routeOf } from "./Route.ts"

/**
 * The answer to a submitted order. It is not put through the schema of `OrderReceived`, which costs as much as
 * all the rest of it; a test compares them. A text is sent in one piece with the headers, unlike bytes.
 */
const received = ({ order_id, replay }: Acceptance) => {
  const body = { message: "Order received", order_id: idInJson(order_id) }
  const text = JSON.stringify(Option.isSome(replay) ? { ...body, status: replay.value } : body)
  return HttpServerResponse.raw(text, {
    status: Option.isSome(replay) ? 200 : 202,
    contentType: "application/json",
    contentLength: Buffer.byteLength(text),
    headers: {
      location: `/api/order/${order_id}`,
      ...(Option.isSome(replay) ? { "idempotent-replayed": "true" } : undefined)
    }
  })
}

/** Handles `POST /api/order`. A client that hangs up does not cut an acceptance in two. */
export const makeSubmit = Effect.map(Orders, (orders) =>
  Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest, body: Body) {
    const decoded = decodeNewOrder(jsonOf(body))
    if (Either.isLeft(decoded)) return yield* HttpApiDecodeError.refailParseError(decoded.left)
    return received(yield* orders.accept(decoded.right, traceparentOf(request.headers)))
  }, Effect.uninterruptible)
)

/** Stands for the endpoint alone: errors of its middleware are encoded here, those of the handler by the whole API. */
class Alone extends HttpApi.make("submit") {
  static override readonly errorSchema = Schema.make<HttpApiDecodeError, unknown>(Schema.Never.ast)
}

/**
 * `POST /api/order` answered past the router: the same handler, within the same middleware (that of the endpoint, its
 * group and the API, from the inside out) and the same encoding of errors as on the way through HttpApi. `Authorization`
 * is left out, for the guard has judged the key and the handler does not ask whose it is. A test sends the same requests
 * both ways. What is set on the router of @effect/platform itself is not applied: access belongs in the
 * contract. The start fails without the endpoint, and where its contract reads more of a request than the body.
 */
export const makeSubmitRoute = Effect.fnUntraced(function* <
  Id extends string,
  Groups extends HttpApiGroup.HttpApiGroup.Any,
  E,
  R
>(api: HttpApi.HttpApi<Id, Groups, E, R>) {
  const submit = yield* makeSubmit
  const routes: Array<Route> = []
  let alone: HttpApi.HttpApi.AnyWithProps = Alone
  let readsMore = false
  HttpApi.reflect(api, {
    predicate: ({ endpoint }) => endpoint.name === "submit",
    onGroup: () => {},
    onEndpoint: ({ endpoint, middleware }) => {
      routes.push(routeOf({ endpoint, middleware }))
      readsMore ||= [endpoint.headersSchema, endpoint.pathSchema, endpoint.urlParamsSchema].some(Option.isSome)
      for (const tag of middleware) if (tag.key !== Authorization.key) alone = alone.middleware(tag)
    }
  })
  const [route] = routes
  if (route === undefined) return yield* Effect.dieMessage("The contract has no endpoint named submit")
  if (readsMore) return yield* Effect.dieMessage("The fast way of submit reads the body alone")
  const inner = yield* HttpApiBuilder.buildMiddleware(alone)
  const outer = yield* HttpApiBuilder.buildMiddleware(api)
  const answer: NonNullable<Route["handler"]> = (request, body) => outer(inner(refusing(submit(request, body))))
  // A security scheme may read a key in the query, which the router would have parsed.
  const answerWithin: typeof answer = (request, body) =>
    Effect.provideService(
      answer(request, body),
      HttpServerRequest.ParsedSearchParams,
      HttpServerRequest.searchParamsFromURL(new URL(request.url, "http://localhost"))
    )
  const isPlain = alone.middlewares.size + api.middlewares.size === 0
  return { ...route, handler: isPlain ? answer : answerWithin } satisfies Route
})
