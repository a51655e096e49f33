import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import * as HttpApiSwagger from "@effect/platform/HttpApiSwagger"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServer from "@effect/platform/HttpServer"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Deferred, Duration, Effect, Either, Layer, Option } from "effect"
import { FailuresByCode, Retried, ServiceMetrics } from "../api/Answers.ts"
import { Api } from "../api/Api.ts"
import { NotReady } from "../api/Problems.ts"
import { type Acceptance, Orders } from "../Orders.ts"
import { Metrics } from "../observe/Metrics.ts"
import { contentType, processMetrics, render } from "../observe/Prometheus.ts"
import { traceparentOf } from "../observe/TraceContext.ts"
import { decodeNewOrder } from "../order/NewOrderDecoder.ts"
import { idInJson } from "../order/Order.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"
import { CircuitBreaker } from "../work/CircuitBreaker.ts"
import { OrderProcessor } from "../work/OrderProcessor.ts"
import { OrderQueue } from "../work/OrderQueue.ts"
import { orderLimit, takeMany } from "./BulkIntake.ts"
import { DashboardRoutes, dashboardRoutes } from "./DashboardFiles.ts"
import { makeEventStream } from "./EventStream.ts"
import { makeGuard, type Route } from "./Guard.ts"
import { listing } from "./Listing.ts"
import { NodeServer } from "./NodeServer.ts"

/** Errors that say how long to wait say it in the header too. */
const withRetryAfter = <A, E extends object, R>(self: Effect.Effect<A, E, R>) =>
  Effect.tapError(self, (error) =>
    "retry_after" in error
      ? HttpApp.appendPreResponseHandler((_request, response) =>
          Effect.succeed(HttpServerResponse.setHeader(response, "retry-after", String(error.retry_after)))
        )
      : Effect.void
  )

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

/**
 * `POST /api/order`, without the schemas that decode and encode what other endpoints take and answer. A client that
 * hangs up does not cut an acceptance in two.
 */
const makeSubmit = Effect.map(Orders, (orders) =>
  Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
    const decoded = decodeNewOrder(yield* Effect.orDie(request.json))
    if (Either.isLeft(decoded)) return yield* HttpApiDecodeError.refailParseError(decoded.left)
    return received(yield* withRetryAfter(orders.accept(decoded.right, traceparentOf(request.headers))))
  }, Effect.uninterruptible)
)

const OrdersApi = HttpApiBuilder.group(
  Api,
  "orders",
  Effect.fnUntraced(function* (handlers) {
    const orders = yield* Orders
    const submit = yield* makeSubmit
    const takeAll = takeMany(orders)
    const streamEvents = yield* makeEventStream
    const { draining } = yield* NodeServer
    return handlers
      .handleRaw("submit", ({ request }) => submit(request))
      .handleRaw("submitMany", ({ request }) =>
        Effect.orDie(request.json).pipe(
          Effect.flatMap((body) => takeAll(body, traceparentOf(request.headers))),
          withRetryAfter,
          // Ten thousand results are not put through the schema one by one; a test compares them with it.
          Effect.map((answer) => HttpServerResponse.unsafeJson(answer))
        )
      )
      .handle("find", ({ path, urlParams: { wait } }) =>
        withRetryAfter(
          wait === undefined
            ? orders.find(path.order_id)
            : orders.findFinal(path.order_id, Duration.seconds(wait), draining)
        )
      )
      .handle("watch", ({ urlParams }) => withRetryAfter(streamEvents(urlParams)))
      .handle("cancel", ({ path }) => withRetryAfter(orders.cancel(path.order_id)), { uninterruptible: true })
      .handle("retry", ({ path }) => withRetryAfter(orders.retry(path.order_id)), { uninterruptible: true })
      .handle("retryMany", ({ payload }) =>
        Effect.map(withRetryAfter(orders.retryMany(payload)), (retried) => new Retried({ retried }))
      )
      .handleRaw("list", ({ urlParams: { cursor, limit, ...filter } }) =>
        Effect.flatMap(withRetryAfter(orders.list(filter, Option.fromNullable(cursor), limit)), listing)
      )
      .handle("failures", () => Effect.map(withRetryAfter(orders.failures), (failures) => new FailuresByCode(failures)))
  })
)

const ok = { status: "ok" } as const

/** Why the service is not ready; nothing, if it is. */
const makeReadiness = Effect.gen(function* () {
  const metrics = yield* Metrics
  const commits = yield* GroupCommit
  const queue = yield* OrderQueue
  const { fault } = yield* OrdersRepo
  const { isDraining } = yield* NodeServer
  const reasons = Effect.gen(function* () {
    if (isDraining()) return ["shutting down"]
    if (yield* Deferred.isDone(fault)) return ["the database is lost or damaged, see the log"]
    const reasons: Array<string> = []
    if (!(yield* commits.ready)) reasons.push("orders cannot be written")
    if (!(yield* queue.ready)) reasons.push("orders cannot be read")
    return reasons
  })
  return Effect.tap(reasons, ({ length }) => metrics.ready(length === 0))
})

const ServiceApi = HttpApiBuilder.group(
  Api,
  "service",
  Effect.fnUntraced(function* (handlers) {
    const metrics = yield* Metrics
    const breaker = yield* CircuitBreaker
    const { name: processor = "custom" } = yield* OrderProcessor
    const notReady = yield* makeReadiness

    return handlers
      .handle("metrics", () =>
        Effect.zipWith(
          metrics.snapshot,
          breaker.state,
          (snapshot, breaker) => new ServiceMetrics({ ...snapshot, processor, breaker })
        )
      )
      .handle("health", () => Effect.succeed(ok))
      .handle("live", () => Effect.succeed(ok))
      .handle("ready", ({ urlParams: { verbose } }) =>
        Effect.gen(function* () {
          const reasons = yield* notReady
          if (reasons.length > 0) return yield* new NotReady({ reasons, retry_after: 5 })
          if (verbose === undefined || verbose === "false" || verbose === "0") return ok
          return { ...ok, checks: { writes: "ok" as const, reads: "ok" as const, breaker: yield* breaker.state } }
        }).pipe(withRetryAfter)
      )
  })
)

const openapiPath = "/openapi.json"
const docsPath = "/docs"
const prometheusPath = "/metrics"

const PrometheusRoute = HttpLayerRouter.use(
  Effect.fnUntraced(function* (router) {
    const metrics = yield* Metrics
    const notReady = yield* makeReadiness
    const scrape = Effect.gen(function* () {
      yield* notReady
      const ofProcess = yield* processMetrics
      return HttpServerResponse.text(render(yield* metrics.series) + ofProcess, { contentType })
    })
    yield* router.add("GET", prometheusPath, scrape)
  })
)

/** Everything that is served. */
export const AllRoutes = Layer.mergeAll(
  HttpLayerRouter.addHttpApi(Api, { openapiPath }).pipe(Layer.provide([OrdersApi, ServiceApi])),
  HttpApiSwagger.layerHttpLayerRouter({ api: Api, path: docsPath }),
  PrometheusRoute,
  DashboardRoutes
)

const bodyOf = (path: string) =>
  path === "/api/orders" ? { limit: 8 * 1024 * 1024, lines: true } : { limit: orderLimit, lines: false }

const makeRoutes = Effect.gen(function* () {
  const submit = yield* makeSubmit
  const encodingErrors = yield* HttpApiBuilder.buildMiddleware(Api)
  const found: Array<Route> = [
    ...dashboardRoutes,
    { method: "GET", path: openapiPath },
    { method: "GET", path: prometheusPath },
    {
      method: "GET",
      path: docsPath,
      contentSecurityPolicy:
        "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    }
  ]
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint: { method, name, path, payloadSchema } }) =>
      found.push({
        method,
        path,
        body: Option.isSome(payloadSchema) ? bodyOf(path) : undefined,
        // The way through the router, and HttpApi's own around the handler, cost a third of a request: so the handler
        // that the group has is asked for only where there is no guard in front.
        ...(name === "submit" ? { handler: (request) => encodingErrors(submit(request)) } : undefined)
      })
  })
  return found
})

/** The router drops longer path segments as if they did not exist; here they get the answer every bad id gets. */
const RouterConfigLive = Layer.succeed(HttpLayerRouter.RouterConfig, { maxParamLength: 16_384 })

/** The routes behind the guard, on the server. */
export const HttpLive = Layer.unwrapScoped(
  Effect.gen(function* () {
    const guard = yield* makeGuard(yield* makeRoutes)
    const { server } = yield* NodeServer
    const app = yield* HttpLayerRouter.toHttpEffect(AllRoutes).pipe(Effect.provide(RouterConfigLive))
    // With a listener for upgrades Node would withhold the body of a request that merely offers one, as Java's client does.
    return Layer.effectDiscard(Effect.sync(() => server.removeAllListeners("upgrade"))).pipe(
      // The guard makes the spans; those of the platform would tell every header.
      Layer.provide(HttpMiddleware.withTracerDisabledWhen(HttpServer.serve(guard(app)), () => true))
    )
  })
)
