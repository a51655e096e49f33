import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Array as Arr, Duration, Effect, Layer, Option, Predicate } from "effect"
import { Caller } from "../api/Access.ts"
import { FailuresByCode, KeyInfo } from "../api/Answers.ts"
import { Api } from "../api/Api.ts"
import { RetryFilter } from "../api/Filters.ts"
import { NotReady } from "../api/Problems.ts"
import { Orders } from "../Orders.ts"
import { Metrics } from "../observe/Metrics.ts"
import { nodeMetrics } from "../observe/NodeMetrics.ts"
import { contentType, render } from "../observe/Prometheus.ts"
import { traceparentOf } from "../observe/TraceContext.ts"
import { type Access, AuthorizationLive, keyField, RequestAccess } from "./Access.ts"
import { makeTakeMany } from "./BulkIntake.ts"
import { makeChangePage, makeHistoryPage } from "./ChangePages.ts"
import { clientOf } from "./ClientAddress.ts"
import { DashboardRoutes, dashboardRoutes } from "./DashboardFiles.ts"
import { makeEventStream } from "./EventStream.ts"
import { makeGuard } from "./Guard.ts"
import { makeListing } from "./Listing.ts"
import { NodeServer } from "./NodeServer.ts"
import { Readiness } from "./Readiness.ts"
import { allRefusing } from "./Refusal.ts"
import { payload, RequestBody } from "./RequestBody.ts"
import { type Route, routeOf } from "./Route.ts"
import { ServiceStatus } from "./ServiceStatus.ts"
import { makeSubmit, makeSubmitRoute } from "./SubmitRoute.ts"

/** Who holds an event stream: a key, or an address without one. */
const ownerOf = (access: Access, address: Option.Option<string>) => {
  const { key } = keyField(access) ?? {}
  return key === undefined ? Option.match(address, { onNone: () => "", onSome: clientOf }) : `key ${key}`
}

/** Logs what a caller did, with the name of its key. */
const logAct = (what: string, fields: Readonly<Record<string, unknown>>) =>
  Effect.flatMap(RequestAccess, (access) =>
    Effect.annotateLogs(Effect.logInfo(what), { ...fields, ...keyField(access) })
  )

/** Does something in the name of the caller's key, for the history. */
const asCaller = <A, E, R>(act: (by: Option.Option<string>) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(RequestAccess, (access) => act(Option.fromNullable(keyField(access)?.key)))

const OrdersApi = HttpApiBuilder.group(
  Api,
  "orders",
  Effect.fnUntraced(function* (handlers) {
    const orders = yield* Orders
    const submit = yield* makeSubmit
    const listing = makeListing(orders)
    const takeMany = yield* makeTakeMany(orders)
    const historyPage = makeHistoryPage(orders)
    const changePage = yield* makeChangePage
    const streamEvents = yield* makeEventStream
    const { draining } = yield* NodeServer
    const answered = handlers
      .handleRaw("submit", ({ request }) => Effect.flatMap(RequestBody, (body) => submit(request, body)))
      .handleRaw("submitMany", ({ request }) =>
        Effect.flatMap(RequestBody, (body) => takeMany(body, traceparentOf(request.headers))).pipe(
          // Ten thousand results are not put through the schema one by one; a test compares them with it.
          Effect.map((answer) => HttpServerResponse.unsafeJson(answer))
        )
      )
      .handle("find", ({ path, urlParams: { wait } }) =>
        wait === undefined
          ? orders.find(path.order_id)
          : orders.findFinal(path.order_id, Duration.seconds(wait), draining)
      )
      .handleRaw("history", ({ path, urlParams }) => historyPage(path.order_id, urlParams))
      .handleRaw("changes", ({ urlParams }) => changePage(urlParams))
      .handleRaw("watch", ({ headers, request, urlParams: { after, ...filter } }) =>
        Effect.flatMap(RequestAccess, (access) =>
          streamEvents(
            filter,
            // A browser that connects again asks for the address it was given, and says how far it came.
            Option.fromNullable(headers["last-event-id"] === "" ? after : (headers["last-event-id"] ?? after)),
            ownerOf(access, request.remoteAddress),
            access.ended ?? Effect.never
          )
        )
      )
      .handle(
        "cancel",
        ({ path }) =>
          Effect.zipLeft(
            asCaller((by) => orders.cancel(path.order_id, by)),
            logAct("Order cancelled", path)
          ),
        { uninterruptible: true }
      )
      .handle(
        "retry",
        ({ path }) =>
          Effect.zipLeft(
            asCaller((by) => orders.retry(path.order_id, by)),
            logAct("Order retried", path)
          ),
        {
          uninterruptible: true
        }
      )
      .handleRaw("retryMany", () =>
        Effect.flatMap(payload(RetryFilter), (filter) => asCaller((by) => orders.retryMany(filter, by))).pipe(
          Effect.tap((retried) => logAct("Orders retried", { retried })),
          Effect.map((retried) => HttpServerResponse.unsafeJson({ retried }))
        )
      )
      .handleRaw("list", ({ urlParams }) => listing(urlParams))
      .handle("failures", () => Effect.map(orders.failures, (failures) => new FailuresByCode(failures)))
    return allRefusing(answered)
  })
)

const ok = { status: "ok" } as const

const ServiceApi = HttpApiBuilder.group(
  Api,
  "service",
  Effect.fnUntraced(function* (handlers) {
    const readiness = yield* Readiness
    const { breaker, metrics, nodes } = yield* ServiceStatus

    const answered = handlers
      .handle("metrics", () => metrics)
      .handle("nodes", () => nodes)
      .handle("key", () => Effect.map(Caller, (caller) => new KeyInfo(caller)))
      .handle("health", () => Effect.succeed(ok))
      .handle("live", () => Effect.succeed(ok))
      .handle("ready", ({ urlParams: { verbose } }) =>
        Effect.gen(function* () {
          const reasons = yield* readiness.reasons
          if (reasons.length > 0) return yield* new NotReady({ reasons, retry_after: 5 })
          if (verbose === undefined || verbose === "false" || verbose === "0") return ok
          return { ...ok, checks: { writes: "ok" as const, reads: "ok" as const, breaker: yield* breaker } }
        })
      )
    return allRefusing(answered)
  })
)

const openapiPath = "/openapi.json"
const docsPath = "/docs"
const prometheusPath = "/metrics"

const PrometheusRoute = HttpLayerRouter.use(
  Effect.fnUntraced(function* (router) {
    const metrics = yield* Metrics
    const readiness = yield* Readiness
    const scrape = Effect.gen(function* () {
      yield* readiness.reasons
      const ofNode = yield* nodeMetrics
      return HttpServerResponse.text(render(yield* metrics.series) + ofNode, { contentType })
    })
    yield* router.add("GET", prometheusPath, scrape)
  })
)

/** The page is larger than all of the service, and is loaded only when somebody asks for it. */
const DocsRoute = HttpLayerRouter.use(
  Effect.fnUntraced(function* (router) {
    const [app, forget] = yield* Effect.cachedInvalidateWithTTL(
      Effect.flatMap(
        Effect.promise(() => import("@effect/platform/HttpApiSwagger")),
        ({ layerHttpLayerRouter }) =>
          HttpLayerRouter.toHttpEffect(layerHttpLayerRouter({ api: Api, path: docsPath })).pipe(
            Effect.scoped,
            // On a router of its own.
            Effect.provideServiceEffect(Layer.CurrentMemoMap, Layer.makeMemoMap)
          )
      ),
      Duration.infinity
    )
    yield* router.add("GET", docsPath, Effect.flatten(Effect.tapErrorCause(app, () => forget)))
  })
)

/** Everything that is served. */
const AllRoutes = Layer.mergeAll(
  HttpLayerRouter.addHttpApi(Api, { openapiPath }).pipe(Layer.provide([OrdersApi, ServiceApi])),
  DocsRoute,
  PrometheusRoute,
  DashboardRoutes
)

const pages: ReadonlyArray<Route> = [
  ...dashboardRoutes,
  { method: "GET", path: openapiPath },
  { method: "GET", path: prometheusPath, access: { scope: "metrics" } },
  {
    method: "GET",
    path: docsPath,
    contentSecurityPolicy:
      "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
  }
]

const endpoints = (): ReadonlyArray<Route> => {
  const found: Array<Route> = []
  HttpApi.reflect(Api, { onGroup: () => {}, onEndpoint: (reflected) => found.push(routeOf(reflected)) })
  return found
}

/** The router drops longer path segments as if they did not exist; here they get the answer every bad id gets. */
const RouterConfigLive = Layer.succeed(HttpLayerRouter.RouterConfig, { maxParamLength: 16_384 })

/** The routes behind the guard, on the server. A route in `before` is asked in place of the application's own. */
const serve = <E, R>(before: Effect.Effect<ReadonlyArray<Route>, E, R>) =>
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const first = yield* before
      const isFirst = ({ method, path }: Route) => first.some((route) => route.method === method && route.path === path)
      const guard = yield* makeGuard([...first, ...pages, ...endpoints().filter(Predicate.not(isFirst))])
      const { server } = yield* NodeServer
      const app = yield* HttpLayerRouter.toHttpEffect(AllRoutes).pipe(Effect.provide(RouterConfigLive))
      // With a listener for upgrades Node would withhold the body of a request that merely offers one, as Java's client does.
      return Layer.effectDiscard(Effect.sync(() => server.removeAllListeners("upgrade"))).pipe(
        // The guard makes the spans; those of the platform would show every header.
        Layer.provide(HttpMiddleware.withTracerDisabledWhen(HttpServer.serve(guard(app)), () => true))
      )
    })
  ).pipe(Layer.provide(AuthorizationLive))

export const HttpLive = serve(Effect.map(makeSubmitRoute(Api), Arr.of))

/** The same without the fast way of `POST /api/order`: what it is compared with. */
export const HttpByRouterLive = serve(Effect.succeed([]))
