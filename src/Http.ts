import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiSwagger from "@effect/platform/HttpApiSwagger"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Duration, Effect, Layer, Option, Schema } from "effect"
import { Accepted, Api, FailuresByCode, NotReady, OrderList, Replayed, Retried, ServiceMetrics } from "./Api.ts"
import { orderLimit, takeMany } from "./BulkIntake.ts"
import { makeEventStream } from "./EventStream.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { makeGuard, type Route } from "./HttpGuard.ts"
import { Metrics } from "./Metrics.ts"
import { NodeServer } from "./NodeServer.ts"
import { OrderQueue } from "./OrderQueue.ts"
import { Orders } from "./Orders.ts"

/** Errors that say how long to wait say it in the header too. */
const withRetryAfter = <A, E extends object, R>(self: Effect.Effect<A, E, R>) =>
  Effect.tapError(self, (error) =>
    "retry_after" in error
      ? HttpApp.appendPreResponseHandler((_request, response) =>
          Effect.succeed(HttpServerResponse.setHeader(response, "retry-after", String(error.retry_after)))
        )
      : Effect.void
  )

const encodeAccepted = Schema.encodeSync(Accepted)
const encodeReplayed = Schema.encodeSync(Replayed)

const OrdersApi = HttpApiBuilder.group(
  Api,
  "orders",
  Effect.fnUntraced(function* (handlers) {
    const orders = yield* Orders
    const takeAll = takeMany(orders)
    const streamEvents = yield* makeEventStream
    const { draining } = yield* NodeServer
    return handlers
      .handle(
        "submit",
        ({ payload }) =>
          Effect.map(withRetryAfter(orders.accept(payload)), ({ order_id, replay }) => {
            const message = "Order received" as const
            const location = `/api/order/${order_id}`
            return Option.match(replay, {
              onNone: () =>
                HttpServerResponse.unsafeJson(encodeAccepted(new Accepted({ message, order_id })), {
                  status: 202,
                  headers: { location }
                }),
              onSome: (status) =>
                HttpServerResponse.unsafeJson(encodeReplayed(new Replayed({ message, order_id, status })), {
                  headers: { location, "idempotent-replayed": "true" }
                })
            })
          }),
        // A client that hangs up must not cut an acceptance in two.
        { uninterruptible: true }
      )
      .handleRaw("submitMany", ({ request }) =>
        Effect.orDie(request.json).pipe(
          Effect.flatMap(takeAll),
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
      .handle("list", ({ urlParams: { cursor, limit, ...filter } }) =>
        Effect.map(
          withRetryAfter(orders.list(filter, Option.fromNullable(cursor), limit)),
          ({ next, orders }) =>
            new OrderList({ orders, ...(Option.isSome(next) ? { next_cursor: next.value } : undefined) })
        )
      )
      .handle("failures", () =>
        Effect.map(withRetryAfter(orders.failures), (failures) => new FailuresByCode({ failures }))
      )
  })
)

const ok = { status: "ok" } as const

const ServiceApi = HttpApiBuilder.group(
  Api,
  "service",
  Effect.fnUntraced(function* (handlers) {
    const metrics = yield* Metrics
    const commits = yield* GroupCommit
    const queue = yield* OrderQueue
    const { isDraining } = yield* NodeServer

    const notReady = Effect.gen(function* () {
      if (isDraining()) return ["shutting down"]
      const reasons: Array<string> = []
      if (!(yield* commits.ready)) reasons.push("orders cannot be written")
      if (!(yield* queue.ready)) reasons.push("orders cannot be read")
      return reasons
    })

    return handlers
      .handle("metrics", () => Effect.map(metrics.snapshot, (snapshot) => new ServiceMetrics(snapshot)))
      .handle("health", () => Effect.succeed(ok))
      .handle("live", () => Effect.succeed(ok))
      .handle("ready", () =>
        Effect.flatMap(notReady, (reasons) =>
          reasons.length === 0 ? Effect.succeed(ok) : new NotReady({ reasons, retry_after: 5 })
        ).pipe(withRetryAfter)
      )
  })
)

const openapiPath = "/openapi.json"
const docsPath = "/docs"

/** Everything that is served. */
export const AllRoutes = Layer.mergeAll(
  HttpLayerRouter.addHttpApi(Api, { openapiPath }).pipe(Layer.provide([OrdersApi, ServiceApi])),
  HttpApiSwagger.layerHttpLayerRouter({ api: Api, path: docsPath })
)

const bodyOf = (path: string) =>
  path === "/api/orders" ? { limit: 8 * 1024 * 1024, lines: true } : { limit: orderLimit, lines: false }

const routes = (): ReadonlyArray<Route> => {
  const found: Array<Route> = [
    { method: "GET", path: openapiPath },
    {
      method: "GET",
      path: docsPath,
      contentSecurityPolicy:
        "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    }
  ]
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint: { method, path, payloadSchema } }) =>
      found.push({ method, path, body: Option.isSome(payloadSchema) ? bodyOf(path) : undefined })
  })
  return found
}

/** The router drops longer path segments as if they did not exist; here they get the answer every bad id gets. */
const RouterConfigLive = Layer.succeed(HttpLayerRouter.RouterConfig, { maxParamLength: 16_384 })

/** The routes behind the guard, on the server. */
export const HttpLive = Layer.unwrapScoped(
  Effect.gen(function* () {
    const guard = yield* makeGuard(routes())
    const { server } = yield* NodeServer
    const app = yield* HttpLayerRouter.toHttpEffect(AllRoutes).pipe(Effect.provide(RouterConfigLive))
    // With a listener for upgrades Node would withhold the body of a request that merely offers one, as Java's client does.
    return Layer.effectDiscard(Effect.sync(() => server.removeAllListeners("upgrade"))).pipe(
      Layer.provide(HttpServer.serve(guard(app)))
    )
  })
)
