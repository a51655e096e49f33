import * as Http from "node:http"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as HttpApiSecurity from "@effect/platform/HttpApiSecurity"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, Option, Redacted, Schema } from "effect"
import { ForeignOrigin, ForeignOriginProblem } from "../../src/api/Problems.ts"
import { HttpByRouterLive, HttpLive } from "../../src/http/Http.ts"
import { NodeServer } from "../../src/http/NodeServer.ts"
import { Body } from "../../src/http/RequestBody.ts"
import type { Route } from "../../src/http/Route.ts"
import { makeSubmitRoute } from "../../src/http/SubmitRoute.ts"
import { Orders } from "../../src/Orders.ts"
import { StorageUnavailable } from "../../src/order/Order.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { memoryRepo, processor, service } from "../support/TestLayers.ts"

const order = { order_id: 1, user_id: 7, item_ids: [1, 2], total_amount: 9.99 }

interface Step {
  readonly name: string
  readonly body?: unknown
  readonly headers?: Http.OutgoingHttpHeaders
  readonly state?: "down" | "draining"
}

const json: Http.OutgoingHttpHeaders = { "content-type": "application/json" }
const steps: ReadonlyArray<Step> = [
  { name: "a new order", body: order },
  { name: "the same again", body: order },
  { name: "the same with its keys in another order", body: Object.fromEntries(Object.entries(order).reverse()) },
  { name: "the same id as text", body: { ...order, order_id: "1" } },
  { name: "the same amount as text", body: { ...order, total_amount: "9.990" } },
  { name: "other items", body: { ...order, item_ids: [2, 1] } },
  { name: "another user and amount", body: { ...order, user_id: 8, total_amount: 10 } },
  { name: "an id that is text", body: { ...order, order_id: "a.b_c:d-e" } },
  { name: "all fields", body: { ...order, order_id: 2, currency: "EUR", metadata: { a: [1, { b: null }] } } },
  { name: "nulls for what is optional", body: { ...order, order_id: 2, currency: null, metadata: null } },
  { name: "no fields", body: {} },
  { name: "an unknown field", body: { ...order, items: [] } },
  { name: "no order id", body: { ...order, order_id: undefined } },
  { name: "order id 0", body: { ...order, order_id: 0 } },
  { name: "an order id beyond what is exact", body: { ...order, order_id: 2 ** 53 } },
  { name: "no items", body: { ...order, item_ids: [] } },
  { name: "a thousand and one items", body: { ...order, item_ids: Array(1001).fill(1) } },
  { name: "bad items", body: { ...order, item_ids: [1, -1, "", {}, null] } },
  { name: "five fraction digits", body: { ...order, total_amount: 1.00001 } },
  { name: "a negative amount", body: { ...order, total_amount: -1 } },
  { name: "an unknown currency", body: { ...order, currency: "euro" } },
  { name: "metadata that is a list", body: { ...order, metadata: [] } },
  { name: "metadata that is too large", body: { ...order, metadata: { a: "x".repeat(8192) } } },
  { name: "a number for a body", body: 1 },
  { name: "null for a body", body: null },
  { name: "a list for a body", body: [order] },
  { name: "no JSON", body: "{" },
  { name: "nothing", body: "" },
  { name: "a byte order mark before it", body: `\ufeff${JSON.stringify(order)}` },
  { name: "what is not UTF-8", body: Buffer.from([0x22, 0xff, 0x22]) },
  { name: "what is nested too deep", body: `${"[".repeat(65)}${"]".repeat(65)}` },
  { name: "what is too large", body: { ...order, metadata: { a: "x".repeat(70_000) } } },
  { name: "another media type", body: order, headers: { "content-type": "text/plain" } },
  { name: "lines of JSON", body: order, headers: { "content-type": "application/x-ndjson" } },
  { name: "another charset", body: order, headers: { "content-type": "application/json; charset=latin1" } },
  { name: "a content encoding", body: order, headers: { ...json, "content-encoding": "gzip" } },
  { name: "no media type", body: { ...order, order_id: 3 }, headers: {} },
  { name: "a foreign origin", body: order, headers: { ...json, origin: "http://evil.test" } },
  { name: "a foreign site", body: order, headers: { ...json, "sec-fetch-site": "cross-site" } },
  {
    name: "a traceparent",
    body: { ...order, order_id: 4 },
    headers: { ...json, traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }
  },
  { name: "a request id", body: order, headers: { ...json, "x-request-id": "from-the-client" } },
  { name: "a new order when the backlog is full", body: { ...order, order_id: 6 } },
  { name: "a known one when the backlog is full", body: order },
  { name: "a conflict when the backlog is full", body: { ...order, user_id: 9 } },
  { name: "a new order while the storage is down", body: { ...order, order_id: 7 }, state: "down" },
  { name: "a bad order while the storage is down", body: {}, state: "down" },
  { name: "an order during the shutdown", body: order, state: "draining" },
  { name: "a bad order during the shutdown", body: {}, state: "draining" }
]

const post = (url: string, headers: Http.OutgoingHttpHeaders, body: string | Buffer) =>
  Effect.async<{ status: number | undefined; headers: Http.IncomingHttpHeaders; text: string }>((resume) => {
    const request = Http.request(url, { method: "POST", headers, agent: false }, (response) => {
      const chunks: Array<Buffer> = []
      const { headers, statusCode: status } = response
      response
        .on("data", (chunk: Buffer) => chunks.push(chunk))
        .on("end", () => resume(Effect.succeed({ status, headers, text: Buffer.concat(chunks).toString() })))
    })
    request.on("error", (error) => resume(Effect.die(error))).end(body)
  })

/** Holds what it gets, so that the backlog fills up. */
const idle = processor(() => Effect.never)

/** What a service answers to each step. Its own marks (date, request id) are left out where the client set none. */
const answers = (http: typeof HttpLive) =>
  Effect.gen(function* () {
    let state: Step["state"]
    const repo = Layer.map(memoryRepo, (context) => {
      const repo = Context.get(context, OrdersRepo)
      return Context.make(OrdersRepo, {
        ...repo,
        write: (commands) =>
          Effect.suspend(() =>
            state === "down" && commands.some(({ _tag }) => _tag === "Insert")
              ? new StorageUnavailable({})
              : repo.write(commands)
          )
      })
    })
    const layer = service({
      repo,
      processor: idle,
      http,
      settings: { maxPending: 4, workers: 1, queueCapacity: 1, shutdownGrace: Duration.zero }
    })
    const context = yield* Layer.build(layer)
    const { drain, server } = Context.get(context, NodeServer)
    const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), context)
    /** A request whose body never ends keeps the server open while it drains. */
    const startDraining = Effect.gen(function* () {
      const seen = Effect.async<void>((resume) => {
        server.once("request", () => resume(Effect.void))
      })
      const held = Http.request(`${url}/api/order`, { method: "POST", headers: { ...json, "content-length": 2 } })
      yield* Effect.addFinalizer(() => Effect.sync(() => held.destroy()))
      held.on("error", () => {}).write("{")
      yield* seen
      yield* Effect.forkScoped(drain)
    })
    return yield* Effect.forEach(steps, ({ body, headers = json, name, state: wanted }) =>
      Effect.gen(function* () {
        if (wanted === "draining" && state !== wanted) yield* startDraining
        state = wanted
        const sent = typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body)
        const answer = yield* post(`${url}/api/order`, headers, sent)
        const { date: _, "x-request-id": requestId, ...others } = answer.headers
        const own = headers["x-request-id"] === undefined ? {} : { requestId }
        return { name, status: answer.status, headers: { ...others, ...own }, text: answer.text }
      })
    )
  })

describe("POST /api/order", () => {
  it.scopedLive("is answered by the fast way as by HttpApi's own", () =>
    Effect.gen(function* () {
      const [fast, byRouter] = yield* Effect.all([answers(HttpLive), answers(HttpByRouterLive)])
      assert.deepStrictEqual(fast, byRouter)
      assert.sameMembers([...new Set(fast.map(({ status }) => status))], [200, 202, 400, 403, 409, 413, 415, 422, 503])
    })
  )

  /** Accepts everything. */
  const accepting = Layer.mock(Orders, {
    accept: ({ order_id }) => Effect.succeed({ order_id, replay: Option.none() })
  })

  /** Lets nobody through. */
  class Closed extends HttpApiMiddleware.Tag<Closed>()("test/Closed", { failure: ForeignOriginProblem }) {}

  const endpoint = HttpApiEndpoint.post("submit", "/api/order")
  const group = HttpApiGroup.make("orders")
  const routes = {
    "its endpoint": makeSubmitRoute(HttpApi.make("orders").add(group.add(endpoint.middleware(Closed)))),
    "its group": makeSubmitRoute(HttpApi.make("orders").add(group.add(endpoint).middleware(Closed))),
    "the API": makeSubmitRoute(HttpApi.make("orders").add(group.add(endpoint)).middleware(Closed))
  }
  const unasked = Layer.mock(Orders, {})

  const ask = Effect.fnUntraced(function* <E, R>(
    found: Effect.Effect<Route, E, R>,
    { headers = {}, query = "" }: { readonly headers?: Record<string, string>; readonly query?: string } = {}
  ) {
    const { handler } = yield* found
    const url = `http://127.0.0.1/api/order${query}`
    const request = HttpServerRequest.fromWeb(new Request(url, { method: "POST", headers }))
    const answered = handler?.(request, Body.Json({ value: order })) ?? Effect.dieMessage("no handler")
    return yield* Effect.provideService(answered, HttpServerRequest.HttpServerRequest, request)
  })

  for (const [where, found] of Object.entries(routes)) {
    it.effect(`applies middleware that is set on ${where}`, () =>
      Effect.gen(function* () {
        const { status } = yield* ask(found)
        assert.strictEqual(status, 403)
      }).pipe(Effect.provideService(Closed, new ForeignOrigin()), Effect.provide(unasked))
    )

    it.effect(`does not start without the middleware that is set on ${where}`, () =>
      Effect.gen(function* () {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(found)))
      }).pipe(Effect.provide(unasked))
    )
  }

  const schemes = {
    "a bearer token": [HttpApiSecurity.bearer, { headers: { authorization: "Bearer open" } }],
    "a header": [HttpApiSecurity.apiKey({ in: "header", key: "x-key" }), { headers: { "x-key": "open" } }],
    "a cookie": [HttpApiSecurity.apiKey({ in: "cookie", key: "key" }), { headers: { cookie: "key=open" } }],
    "the query": [HttpApiSecurity.apiKey({ in: "query", key: "key" }), { query: "?key=open" }]
  } as const

  for (const [where, [scheme, given]] of Object.entries(schemes)) {
    it.effect(`applies a security scheme whose key is in ${where}`, () => {
      class Access extends HttpApiMiddleware.Tag<Access>()("test/Access", {
        failure: ForeignOriginProblem,
        security: { key: scheme }
      }) {}
      const found = makeSubmitRoute(HttpApi.make("orders").add(group.add(endpoint.middleware(Access))))
      const key = (given: Redacted.Redacted) => (Redacted.value(given) === "open" ? Effect.void : new ForeignOrigin())
      return Effect.gen(function* () {
        assert.strictEqual((yield* ask(found)).status, 403)
        assert.strictEqual((yield* ask(found, given)).status, 202)
      }).pipe(Effect.provideService(Access, { key }), Effect.provide(accepting))
    })
  }

  it.effect("does not start without its endpoint, or where that reads more than the body", () =>
    Effect.gen(function* () {
      const reading = endpoint.setHeaders(Schema.Struct({ "x-tenant": Schema.String }))
      for (const found of [
        makeSubmitRoute(HttpApi.make("orders")),
        makeSubmitRoute(HttpApi.make("orders").add(group.add(HttpApiEndpoint.post("renamed", "/api/order")))),
        makeSubmitRoute(HttpApi.make("orders").add(group.add(reading))),
        makeSubmitRoute(
          HttpApi.make("orders").add(group.add(endpoint.setUrlParams(Schema.Struct({ dry: Schema.String }))))
        )
      ]) {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(found)))
      }
    }).pipe(Effect.provide(unasked))
  )
})
