import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { aNewOrder, post, type ServiceProcess, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

interface Received {
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
  readonly bytes: Buffer
}

/** A server that keeps what it gets, and answers each request as it is told. */
const server = (answer: (response: Http.ServerResponse, received: Received) => void) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly received: Array<Received>; readonly server: Http.Server }>(
      (resume) => {
        const received: Array<Received> = []
        const server = Http.createServer((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            const bytes = Buffer.concat(chunks)
            const one = { path: request.url ?? "", headers: request.headers, body: bytes.toString(), bytes }
            received.push(one)
            answer(response, one)
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, received, server }))
        })
      }
    ),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )

const ok = (response: Http.ServerResponse) => response.writeHead(200, { "content-type": "application/json" }).end("{}")

interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: Record<string, unknown> }>
  readonly status: { readonly code: number; readonly message?: string }
}

const spansOf = (received: ReadonlyArray<Received>): ReadonlyArray<Span> =>
  received
    .filter(({ path }) => path === "/v1/traces")
    .flatMap(({ body }) => JSON.parse(body).resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans)
    .flatMap(({ spans }) => spans)

const varint = (bytes: Buffer, at: number) => {
  let end = at
  while ((bytes[end] ?? 0) >= 128) end += 1
  return {
    value: bytes.subarray(at, end + 1).reduceRight((value, byte) => value * 128 + (byte & 127), 0),
    next: end + 1
  }
}

/** Every message, text and run of bytes that a message of Protocol Buffers has in its fields of that number. */
const inField = (field: number) => (message: Buffer) => {
  const found: Array<Buffer> = []
  for (let at = 0; at < message.length; ) {
    const { next, value: tag } = varint(message, at)
    const type = tag & 7
    const length = type === 2 ? varint(message, next) : undefined
    const begin = length?.next ?? next
    at = length ? begin + length.value : type === 0 ? varint(message, next).next : next + (type === 1 ? 8 : 4)
    if (length && tag >> 3 === field) found.push(message.subarray(begin, at))
  }
  return found
}

/** The spans of a body by `opentelemetry/proto/trace/v1/trace.proto`. */
const spansOfProtobuf = (body: Buffer) =>
  [body]
    .flatMap(inField(1))
    .flatMap(inField(2))
    .flatMap(inField(2))
    .map((span) => ({ traceId: inField(1)(span)[0]?.toString("hex"), name: inField(5)(span)[0]?.toString() }))

const attributesOf = ({ attributes }: Span) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

/** The one span of that name. */
const only = (spans: ReadonlyArray<Span>, name: string): Span => {
  const found = spans.filter((span) => span.name === name)
  const [span] = found
  assert.strictEqual(found.length, 1, `${name} among ${spans.map((span) => span.name)}`)
  if (span === undefined) throw new Error(name)
  return span
}

const secret = "whsec_c2VjcmV0LW9mLXRoZS1zaG9wLTEyMzQ1Njc4OTA="
const apiKey = "key-of-the-receiver"

const settings = (receiver: string, endpoint: string) => ({
  PROCESSOR: "webhook",
  WEBHOOK_URL: `${endpoint}/fulfil?key=key-of-the-shop`,
  WEBHOOK_SECRET: secret,
  OTEL_EXPORTER_OTLP_ENDPOINT: receiver,
  OTEL_EXPORTER_OTLP_HEADERS: `api-key=${apiKey}`,
  OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test",
  RETRY_BASE: "10 millis"
})

/** Ends the service in order, so that it sends what it has. */
const stop = ({ child, exited }: ServiceProcess) =>
  Effect.gen(function* () {
    child.kill("SIGTERM")
    assert.strictEqual(yield* exited, 0)
  })

const until = <E>(holds: Effect.Effect<boolean, E>) =>
  Effect.repeat(Effect.delay(holds, "20 millis"), { until: (held) => held }).pipe(Effect.timeout("100 seconds"))

const isFinal = (service: ServiceProcess, id: number) =>
  Effect.promise(async () => {
    const { status } = JSON.parse(await (await fetch(`${service.url}/api/order/${id}`)).text())
    return status === "Completed" || status === "Failed"
  })

const submit = (service: ServiceProcess, id: number, headers: Record<string, string> = {}) =>
  Effect.promise(() =>
    fetch(`${service.url}/api/order`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer of-the-client", ...headers },
      body: JSON.stringify({ ...aNewOrder(id), metadata: { note: "not for others" } })
    }).then((response) => assert.strictEqual(response.status, 202))
  )

const joins = (spans: ReadonlyArray<Span>, endpoint: ReadonlyArray<Received>) => {
  const [submitted, processed, requested] = [
    only(spans, "POST /api/order"),
    only(spans, "orders process"),
    only(spans, "POST")
  ]
  assert.deepStrictEqual([submitted.kind, processed.kind, requested.kind], [2, 5, 3])
  assert.strictEqual(processed.traceId, submitted.traceId)
  assert.strictEqual(processed.parentSpanId, submitted.spanId)
  assert.strictEqual(requested.traceId, submitted.traceId)
  assert.strictEqual(requested.parentSpanId, processed.spanId)
  assert.deepStrictEqual(
    endpoint.map(({ headers }) => headers.traceparent),
    [`00-${submitted.traceId}-${requested.spanId}-01`]
  )
  return { submitted, processed, requested }
}

describe("traces", () => {
  it.scopedLive("one trace joins the POST, the processing and the request to the shop, and tells no secret", () =>
    Effect.gen(function* () {
      const receiver = yield* server(ok)
      const endpoint = yield* server(ok)
      const service = yield* startService(yield* temporaryFolder, settings(receiver.url, endpoint.url))
      yield* submit(service, 1, { "x-request-id": "request-1" })
      yield* until(isFinal(service, 1))
      yield* stop(service)

      const spans = spansOf(receiver.received)
      const { processed, requested, submitted } = joins(spans, endpoint.received)
      // Whoever asks how the order is has a trace too; the statements that nobody asked for have none.
      assert.strictEqual(spans.filter(({ traceId }) => traceId === submitted.traceId).length, 3)
      const roots = spans.filter(({ parentSpanId }) => parentSpanId === undefined).map(({ name }) => name)
      assert.deepStrictEqual([...new Set(roots)].sort(), ["GET /api/order/:order_id", "POST /api/order"])
      assert.isUndefined(submitted.parentSpanId)
      assert.deepStrictEqual(attributesOf(submitted), {
        "http.request.method": "POST",
        "http.route": "/api/order",
        "url.path": "/api/order",
        "http.response.status_code": 202,
        "orders.request_id": "request-1"
      })
      assert.deepStrictEqual(attributesOf(processed), {
        "orders.order_id": "1",
        "orders.run": 1,
        "orders.attempt": 1,
        "orders.outcome": "completed"
      })
      assert.deepStrictEqual(attributesOf(requested), {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "server.port": Number(new URL(endpoint.url).port),
        "http.response.status_code": 200
      })
      const all = receiver.received.map(({ body }) => body).join()
      for (const hidden of [secret.slice(6), "v1,", "key-of", "of-the-client", "not for others", "authorization"]) {
        assert.notInclude(all, hidden)
      }
      assert.include(all, '{"key":"deployment.environment","value":{"stringValue":"test"}}')
      assert.include(all, '{"key":"service.name","value":{"stringValue":"orders"}}')
      assert.isTrue(receiver.received.every(({ headers }) => headers["api-key"] === apiKey))
      const metrics = receiver.received.filter(({ path }) => path === "/v1/metrics")
      assert.include(metrics.map(({ body }) => body).join(), '"name":"orders_accepted_total"')
    })
  )

  it.scopedLive("as Protocol Buffers too, where that is asked for", () =>
    Effect.gen(function* () {
      const receiver = yield* server(ok)
      const endpoint = yield* server((response) => response.writeHead(422).end())
      const service = yield* startService(yield* temporaryFolder, {
        ...settings(receiver.url, endpoint.url),
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf"
      })
      yield* submit(service, 1)
      yield* until(isFinal(service, 1))
      yield* stop(service)

      const types = new Set(receiver.received.map(({ headers }) => headers["content-type"]))
      assert.deepStrictEqual([...types], ["application/x-protobuf"])
      const sent = (path: string) => receiver.received.filter((received) => received.path === path)
      const spans = sent("/v1/traces").flatMap(({ bytes }) => spansOfProtobuf(bytes))
      const traceId = String(endpoint.received[0]?.headers.traceparent).split("-")[1]
      assert.deepStrictEqual(
        spans
          .filter((span) => span.traceId === traceId)
          .map(({ name }) => name)
          .sort(),
        ["POST", "POST /api/order", "orders process"]
      )
      assert.include(
        sent("/v1/metrics")
          .map(({ body }) => body)
          .join(),
        "orders_accepted_total"
      )
      const all = receiver.received.map(({ body }) => body).join()
      for (const hidden of ["status.interrupted", "key-of", "not for others"]) assert.notInclude(all, hidden)
    })
  )

  it.scopedLive("what a platform sets for others keeps nothing from starting, and nothing is sent", () =>
    Effect.gen(function* () {
      const service = yield* startService(yield* temporaryFolder, {
        OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
        OTEL_EXPORTER_OTLP_ENDPOINT: "",
        OTEL_METRICS_EXPORTER: "prometheus",
        OTEL_TRACES_SAMPLER: "",
        OTEL_TRACES_SAMPLER_ARG: "endpoint=http://127.0.0.1:14250",
        OTEL_RESOURCE_ATTRIBUTES: "broken"
      })
      assert.strictEqual((yield* Effect.promise(() => post(service.url, aNewOrder(1)))).status, 202)
    })
  )

  it.scopedLive("the client's trace goes on through a restart between the POST and the processing", () =>
    Effect.gen(function* () {
      const receiver = yield* server(ok)
      let isUp = false
      const endpoint = yield* server((response) => {
        if (isUp) ok(response)
      })
      const folder = yield* temporaryFolder
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      const config = { ...settings(receiver.url, endpoint.url), RETRY_BASE: "10 minutes", RETRY_MAX: "10 minutes" }

      const first = yield* startService(folder, { ...config, SHUTDOWN_GRACE: "0 millis", WORKERS: "1" })
      // The worker holds another order meanwhile, which is not answered.
      yield* submit(first, 1)
      yield* until(Effect.sync(() => endpoint.received.length > 0))
      yield* submit(first, 2, { traceparent })
      yield* stop(first)
      isUp = true
      endpoint.received.length = 0
      const second = yield* startService(folder, { ...config, WORKERS: "1" })
      yield* until(isFinal(second, 2))
      yield* stop(second)

      const spans = spansOf(receiver.received).filter(({ traceId }) => traceId === traceparent.slice(3, 35))
      const submitted = only(spans, "POST /api/order")
      assert.strictEqual(submitted.parentSpanId, traceparent.slice(36, 52))
      const processed = spans
        .filter(({ name }) => name === "orders process")
        .find((span) => attributesOf(span)["orders.outcome"] === "completed")
      assert.strictEqual(processed?.parentSpanId, submitted.spanId)
      const requested = spans.find(({ name, parentSpanId }) => name === "POST" && parentSpanId === processed?.spanId)
      assert.include(
        endpoint.received.map(({ headers }) => headers.traceparent),
        `00-${submitted.traceId}-${requested?.spanId}-01`
      )
    })
  )

  it.scopedLive("an attempt that fails is a failed span, with its code and not its message", () =>
    Effect.gen(function* () {
      const receiver = yield* server(ok)
      const endpoint = yield* server((response) =>
        response.writeHead(422, { "content-type": "application/json" }).end('{"code":"sold_out","message":"private"}')
      )
      const service = yield* startService(yield* temporaryFolder, settings(receiver.url, endpoint.url))
      yield* submit(service, 1)
      yield* until(isFinal(service, 1))
      yield* stop(service)
      const { processed, requested, submitted } = joins(spansOf(receiver.received), endpoint.received)
      assert.strictEqual(submitted.status.code, 1)
      assert.deepStrictEqual(processed.status, { code: 2, message: "sold_out" })
      assert.strictEqual(attributesOf(processed)["orders.outcome"], "failed")
      assert.strictEqual(requested.status.code, 2)
      assert.notInclude(receiver.received.map(({ body }) => body).join(), "private")
      assert.notInclude(receiver.received.map(({ body }) => body).join(), "nterrupted")

      const line = service.output.stdout.split("\n").find((line) => line.includes("Order failed"))
      const { error_code, order_id, span_id, trace_id } = JSON.parse(line ?? "")
      assert.deepStrictEqual([error_code, order_id], ["sold_out", "1"])
      assert.deepStrictEqual([trace_id, span_id], [processed.traceId, processed.spanId])
    })
  )

  it.scopedLive("orders of one bulk call are in its trace; what a client does not want kept is not", () =>
    Effect.gen(function* () {
      const receiver = yield* server(ok)
      const endpoint = yield* server(ok)
      const service = yield* startService(yield* temporaryFolder, settings(receiver.url, endpoint.url))
      const unsampled = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
      yield* submit(service, 1, { traceparent: unsampled })
      yield* Effect.promise(() =>
        fetch(`${service.url}/api/orders`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify([aNewOrder(2), aNewOrder(3)])
        })
      )
      for (const id of [1, 2, 3]) yield* until(isFinal(service, id))
      yield* stop(service)

      const spans = spansOf(receiver.received)
      const bulk = only(spans, "POST /api/orders")
      const processed = spans.filter(({ name }) => name === "orders process")
      assert.deepStrictEqual(
        processed.map(({ parentSpanId }) => parentSpanId),
        [bulk.spanId, bulk.spanId]
      )
      const traceparents = endpoint.received.map(({ headers }) => String(headers.traceparent))
      const ofFirst = traceparents.find((traceparent) => traceparent.startsWith(unsampled.slice(0, 35)))
      assert.strictEqual(ofFirst?.slice(-3), "-00")
      assert.isFalse(spans.some(({ traceId }) => traceId === unsampled.slice(3, 35)))
    })
  )

  it.scopedLive("without an endpoint nothing is sent, and the client's trace is still told on", () =>
    Effect.gen(function* () {
      const endpoint = yield* server(ok)
      const { OTEL_EXPORTER_OTLP_ENDPOINT: _endpoint, ...config } = settings("", endpoint.url)
      const service = yield* startService(yield* temporaryFolder, config)
      const trace = "00-0af7651916cd43dd8448eb211c80319c"
      yield* submit(service, 1, { traceparent: `${trace}-b7ad6b7169203331-01` })
      yield* submit(service, 2, { traceparent: `${trace}-b7ad6b7169203331-00` })
      yield* submit(service, 3)
      for (const id of [1, 2, 3]) yield* until(isFinal(service, id))
      yield* stop(service)
      const told = new Map(
        endpoint.received.map(({ body, headers }) => [JSON.parse(body).order.order_id, String(headers.traceparent)])
      )
      assert.match(told.get(1) ?? "", /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/)
      assert.match(told.get(2) ?? "", /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$/)
      assert.match(told.get(3) ?? "", /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    })
  )

  for (const [how, answer] of [
    ["refuses", undefined],
    ["answers 500", (response: Http.ServerResponse) => response.writeHead(500).end()],
    ["never answers", () => {}]
  ] as const) {
    it.scopedLive(`a receiver that ${how} costs the service nothing but one line in the log`, () =>
      Effect.gen(function* () {
        const receiver = yield* server(answer ?? ok)
        if (answer === undefined) receiver.server.close()
        const endpoint = yield* server(ok)
        const service = yield* startService(yield* temporaryFolder, settings(receiver.url, endpoint.url))
        const ids = Array.from({ length: 200 }, (_, index) => index + 1)
        const answers = yield* Effect.forEach(ids, (id) => Effect.promise(() => post(service.url, aNewOrder(id))), {
          concurrency: 50
        })
        assert.isTrue(answers.every(({ status }) => status === 202))
        yield* until(
          Effect.promise(async () => {
            const { orders_completed } = JSON.parse(await (await fetch(`${service.url}/api/metrics`)).text())
            return orders_completed === ids.length
          })
        )
        const said = () => service.output.stdout.split("\n").filter((line) => line.includes("cannot be sent"))
        yield* until(Effect.sync(() => said().length > 0))
        const before = Date.now()
        yield* stop(service)
        // The receiver has ten seconds for an answer.
        assert.isBelow(Date.now() - before, 9000)
        assert.strictEqual(said().length, 1, service.output.stdout)
        assert.notInclude(service.output.stdout, apiKey)
      })
    )
  }
})
