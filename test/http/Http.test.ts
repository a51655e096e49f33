import * as Http from "node:http"
import * as Net from "node:net"
import { assert, layer } from "@effect/vitest"
import { DateTime, Duration, Effect, Layer, Option, Schema } from "effect"
import { version } from "../../src/api/Version.ts"
import { OrderProcessor, Unavailable } from "../../src/work/OrderProcessor.ts"
import { baseUrl, client, memoryRepo, newOrder, processor, service } from "../support/TestLayers.ts"

interface Request {
  readonly method?: string
  readonly path?: string
  readonly headers?: Http.OutgoingHttpHeaders
  /** Goes with a Content-Length if it is one piece, chunked if it is several. */
  readonly body?: string | Buffer | ReadonlyArray<string>
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | Array<string> | undefined>>
  readonly text: string
}

/** Sends what the typed client and `fetch` would not. The connection is not kept. */
const send = ({ body, headers = {}, method = "GET", path = "/health" }: Request) =>
  Effect.flatMap(baseUrl, (url) =>
    Effect.tryPromise(
      () =>
        new Promise<Answer>((resolve, reject) => {
          const request = Http.request(url, { method, path, headers, agent: false }, (response) => {
            const chunks: Array<Buffer> = []
            response
              .on("data", (chunk: Buffer) => chunks.push(chunk))
              .on("error", reject)
              .on("end", () => {
                const { headers, statusCode: status = 0 } = response
                resolve({ status, headers, text: Buffer.concat(chunks).toString() })
              })
          }).on("error", reject)
          if (typeof body === "string" || Buffer.isBuffer(body)) {
            request.setHeader("content-length", Buffer.byteLength(body)).write(body)
          } else for (const chunk of body ?? []) request.write(chunk)
          request.end()
        })
    )
  )

/** Writes bytes to a socket and reads one answer, as far as its Content-Length says. */
const sendRaw = (bytes: string) =>
  Effect.flatMap(baseUrl, (url) =>
    Effect.async<Answer, Error>((resume) => {
      const { hostname, port } = new URL(url)
      const socket = Net.connect(Number(port), hostname, () => socket.write(bytes))
      let received = ""
      socket.setEncoding("latin1").on("error", (error) => resume(Effect.fail(error)))
      socket.on("close", () => resume(Effect.fail(new Error(`No whole answer, but: ${received}`))))
      socket.on("data", (chunk) => {
        received += chunk
        const end = received.indexOf("\r\n\r\n")
        if (end < 0) return
        const [statusLine = "", ...fields] = received.slice(0, end).split("\r\n")
        const text = received.slice(end + 4)
        const headers = Object.fromEntries(
          fields.map((field) => [field.replace(/:.*/, "").toLowerCase(), field.replace(/^[^:]*: */, "")])
        )
        if (text.length < Number(headers["content-length"])) return
        resume(Effect.succeed({ status: Number(statusLine.split(" ")[1]), headers, text }))
      })
      return Effect.sync(() => socket.destroy())
    }).pipe(Effect.timeout("20 seconds"))
  )

const json = { "content-type": "application/json" }
const validOrder = { order_id: 101, user_id: 1, item_ids: [1, 2, 3], total_amount: 250.7 }

const postText = (body: Request["body"], headers: Http.OutgoingHttpHeaders = json): Request => ({
  method: "POST",
  path: "/api/order",
  headers,
  ...(body === undefined ? {} : { body })
})
const post = (body: unknown, headers: Http.OutgoingHttpHeaders = json) => postText(JSON.stringify(body), headers)
const get = (path: string): Request => ({ path })

/** JSON so many levels deep. */
const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels)
/** An order whose metadata makes it so many levels deep. */
const deepOrder = (order_id: number, levels: number) =>
  JSON.stringify({ ...validOrder, order_id, metadata: {} }).replace("{}", `{"deep":${nested(levels - 2)}}`)
/** An order that is so many bytes of JSON, filled up with white space. */
const orderOf = (order_id: number, bytes: number) => JSON.stringify({ ...validOrder, order_id }).padEnd(bytes)

const Problem = Schema.parseJson(
  Schema.Struct(
    {
      type: Schema.NonEmptyString,
      title: Schema.NonEmptyString,
      status: Schema.Int,
      detail: Schema.NonEmptyString,
      errors: Schema.optional(Schema.Array(Schema.Struct({ pointer: Schema.String, detail: Schema.NonEmptyString })))
    },
    { key: Schema.String, value: Schema.Unknown }
  )
)

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const isSecured = ({ headers }: Answer, name?: string) => {
  assert.strictEqual(headers["x-content-type-options"], "nosniff", name)
  assert.strictEqual(headers["x-frame-options"], "DENY", name)
  assert.strictEqual(headers["referrer-policy"], "no-referrer", name)
  assert.strictEqual(headers["cross-origin-resource-policy"], "same-origin", name)
  assert.strictEqual(headers["cache-control"], "no-store", name)
  assert.match(String(headers["content-security-policy"]), /default-src '(none|self)'.*frame-ancestors 'none'/, name)
  assert.match(String(headers["x-request-id"]), uuid, name)
}

/** A problem of that status, with all its members. */
const problemOf = (answer: Answer, status: number, name?: string) =>
  Effect.gen(function* () {
    assert.strictEqual(answer.status, status, `${name}: ${answer.text}`)
    assert.strictEqual(answer.headers["content-type"], "application/problem+json", name)
    const problem = yield* Schema.decodeUnknown(Problem)(answer.text)
    assert.strictEqual(problem.status, status, name)
    assert.notProperty(problem, "_tag", name)
    return problem
  })

const isProblem = (answer: Answer, status: number, type: string, name?: string) =>
  Effect.gen(function* () {
    const problem = yield* problemOf(answer, status, name)
    assert.strictEqual(problem.type, `urn:orders:problem:${type}`, name)
    isSecured(answer, name)
    return problem
  })

const storedOrders = Effect.flatMap(client, (api) => Effect.map(api.service.metrics(), (it) => it.total_orders))

let nextOrderId = 1_000_000

/** Each request gets that problem; none stores an order, and a good one is taken afterwards. */
const areRefused = (status: number, type: string, requests: Readonly<Record<string, Request>>) =>
  Effect.gen(function* () {
    const before = yield* storedOrders
    for (const [name, request] of Object.entries(requests)) {
      yield* isProblem(yield* send(request), status, type, name)
    }
    assert.strictEqual(yield* storedOrders, before)
    nextOrderId += 1
    const good = yield* send(post({ ...validOrder, order_id: nextOrderId }))
    assert.strictEqual(good.status, 202)
  })

/** The JSON pointers of a 422. */
const faults = (request: Request) =>
  Effect.gen(function* () {
    const { errors = [] } = yield* isProblem(yield* send(request), 422, "invalid-request")
    return errors.map(({ pointer }) => pointer)
  })

/** A processor that never gets ready, so every order stays Pending. */
const closedProcessor = Layer.succeed(OrderProcessor, { ready: Effect.never, process: () => Effect.never })

layer(service({ repo: memoryRepo, processor: closedProcessor }), { excludeTestServices: true })("Http", (it) => {
  it.effect("takes an order, answers its repeat with the status, and refuses other content by field", () =>
    Effect.gen(function* () {
      const order = { ...validOrder, order_id: 1, currency: "EUR", metadata: { a: 1, b: { c: [2], d: null } } }
      const accepted = yield* send(post(order))
      assert.strictEqual(accepted.status, 202)
      assert.strictEqual(accepted.text, '{"message":"Order received","order_id":1}')
      assert.strictEqual(accepted.headers["content-type"], "application/json")
      assert.strictEqual(accepted.headers.location, "/api/order/1")
      assert.notProperty(accepted.headers, "idempotent-replayed")
      isSecured(accepted)

      const sameContent = [
        JSON.stringify(order),
        JSON.stringify({ ...order, order_id: "1", user_id: "1", item_ids: ["1", 2, "3"], total_amount: "250.70" }),
        ` { "metadata" : {"b":{"d":null,"c":[2.0]},"a":1e0}, "currency":"EUR",
            "total_amount":250.7000, "item_ids":[1,2,3], "user_id":1, "order_id":1 } `
      ]
      for (const body of sameContent) {
        const replayed = yield* send(postText(body))
        assert.strictEqual(replayed.status, 200)
        assert.strictEqual(replayed.text, '{"message":"Order received","order_id":1,"status":"Pending"}')
        assert.strictEqual(replayed.headers["idempotent-replayed"], "true")
        assert.strictEqual(replayed.headers.location, "/api/order/1")
        isSecured(replayed)
      }

      const conflicts = [
        [{ user_id: 2 }, ["user_id"]],
        [{ item_ids: [1, 3, 2] }, ["item_ids"]],
        [{ total_amount: 250.7001 }, ["total_amount"]],
        [{ currency: null }, ["currency"]],
        [{ metadata: { a: 1 } }, ["metadata"]],
        [{ metadata: undefined, user_id: "x", item_ids: [1] }, ["user_id", "item_ids", "metadata"]]
      ] as const
      for (const [change, fields] of conflicts) {
        const problem = yield* isProblem(yield* send(post({ ...order, ...change })), 409, "order-conflict")
        assert.deepStrictEqual(problem.fields, fields)
        assert.strictEqual(problem.order_id, 1)
        for (const field of fields) assert.include(problem.detail, field)
      }
    })
  )

  it.effect("shows an order, `order_id` and `status` first", () =>
    Effect.gen(function* () {
      yield* send(post({ order_id: 2, user_id: "u-7", item_ids: [5, "5", "sku:A"], total_amount: "0.10" }))
      const answer = yield* send(get("/api/order/2"))
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers["content-type"], "application/json")
      isSecured(answer)
      const accepted_at = /"accepted_at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"/.exec(answer.text)?.[1]
      assert.isDefined(accepted_at)
      assert.strictEqual(
        answer.text,
        JSON.stringify({
          order_id: 2,
          status: "Pending",
          user_id: "u-7",
          item_ids: [5, 5, "sku:A"],
          total_amount: 0.1,
          currency: null,
          metadata: null,
          attempts: 0,
          accepted_at,
          started_at: null,
          finished_at: null,
          next_attempt_at: null,
          last_error: null,
          result: null
        })
      )
    })
  )

  it.effect("finds an order by every id it takes", () =>
    Effect.gen(function* () {
      for (const id of [
        "9007199254740991",
        "9007199254740992",
        "007",
        "A",
        `a${":".repeat(63)}`,
        "a._:-z",
        "x".repeat(64)
      ]) {
        const accepted = yield* send(post({ ...validOrder, order_id: id }))
        assert.strictEqual(accepted.status, 202)
        for (const path of [accepted.headers.location, `/api/order/${encodeURIComponent(id)}`]) {
          const found = yield* send(get(String(path)))
          assert.include(found.text, `{"order_id":${id === "9007199254740991" ? id : JSON.stringify(id)},"status"`)
        }
      }
    })
  )

  it.effect("keeps metadata as it came", () =>
    Effect.gen(function* () {
      const metadata = '{"__proto__":{"a":1},"":"é😀\\u0000\\ud800","n":[0.1,-1.5e-7,9007199254740991,true,null]}'
      const order = JSON.stringify({ ...validOrder, order_id: 3, metadata: {} }).replace("{}", metadata)
      assert.strictEqual((yield* send(postText(order))).status, 202)
      assert.strictEqual((yield* send(postText(order))).status, 200)
      const { text } = yield* send(get("/api/order/3"))
      assert.include(text, `"metadata":${JSON.stringify(JSON.parse(metadata))},`)
    })
  )

  it.effect("answers the typed client", () =>
    Effect.gen(function* () {
      const api = yield* client
      const order = newOrder(4)
      assert.strictEqual((yield* api.orders.submit({ payload: order })).order_id, order.order_id)
      assert.strictEqual((yield* api.orders.find({ path: order, urlParams: {} })).status, "Pending")
      const conflict = yield* Effect.flip(api.orders.submit({ payload: newOrder(4, { user_id: 2 }) }))
      assert.strictEqual(conflict._tag, "OrderConflict")
      const { order_id } = newOrder("nobody")
      const missing = yield* Effect.flip(api.orders.find({ path: { order_id }, urlParams: {} }))
      assert.strictEqual(missing._tag, "OrderNotFound")
    })
  )

  it.effect("says that it is up and ready", () =>
    Effect.gen(function* () {
      for (const path of ["/health", "/livez", "/readyz", "/readyz?verbose=false", "/health?verbose=1"]) {
        const answer = yield* send(get(path))
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.text, '{"status":"ok"}')
        isSecured(answer)
      }
    })
  )

  it.effect("tells what it looked at, if asked", () =>
    Effect.gen(function* () {
      const breaker = {
        state: "closed",
        failures_in_a_row: 0,
        last_error_code: null,
        opened_at: null,
        next_probe_at: null
      }
      const expected = JSON.stringify({ status: "ok", checks: { writes: "ok", reads: "ok", breaker } })
      for (const path of ["/readyz?verbose", "/readyz?verbose=", "/readyz?verbose=1", "/readyz?verbose=true"]) {
        const answer = yield* send(get(path))
        assert.strictEqual(answer.status, 200, path)
        assert.strictEqual(answer.text, expected, path)
        isSecured(answer, path)
      }
      const { text } = yield* send(get("/api/metrics"))
      assert.deepStrictEqual(JSON.parse(text).breaker, breaker)
      const { nodes } = JSON.parse((yield* send(get("/api/nodes"))).text)
      assert.lengthOf(nodes, 1)
      assert.deepInclude(nodes[0], { role: "all", version, alive: true, breaker })
    })
  )

  it.effect("describes itself, with nothing from elsewhere", () =>
    Effect.gen(function* () {
      const document = yield* send(get("/openapi.json"))
      assert.strictEqual(document.status, 200)
      assert.match(String(document.headers["content-type"]), /^application\/json/)
      assert.strictEqual(JSON.parse(document.text).openapi, "3.1.0")
      isSecured(document)

      const docs = yield* send(get("/docs"))
      assert.strictEqual(docs.status, 200)
      assert.match(String(docs.headers["content-type"]), /^text\/html/)
      assert.match(docs.text, /<script[^>]*>/)
      assert.notMatch(docs.text, /<(?:script|link|img|iframe)\b[^>]*\s(?:src|href)\s*=/)
      assert.notMatch(docs.text, /@import\b|url\(\s*["']?(?:https?:)?\/\//)
      assert.notMatch(String(docs.headers["content-security-policy"]), /https?:|\*/)
      isSecured(docs)
    })
  )

  it.effect("answers HEAD as GET without the body", () =>
    Effect.gen(function* () {
      for (const path of ["/health", "/livez", "/readyz", "/api/metrics", "/openapi.json", "/docs", "/nothing"]) {
        const [head, full] = [yield* send({ method: "HEAD", path }), yield* send(get(path))]
        assert.strictEqual(head.status, full.status, path)
        assert.strictEqual(head.headers["content-type"], full.headers["content-type"], path)
        // The rates among the metrics change meanwhile, and so may their length.
        if (path !== "/api/metrics") {
          assert.strictEqual(head.headers["content-length"], full.headers["content-length"], path)
        }
        assert.strictEqual(head.text, "", path)
        isSecured(head, path)
      }
    })
  )

  it.effect("echoes a request id that is one, and makes one otherwise", () =>
    Effect.gen(function* () {
      for (const path of ["/health", "/nothing", "/api/order/nobody"]) {
        for (const id of ["a", "req-1.2:3_4", "x".repeat(128)]) {
          const { headers } = yield* send({ path, headers: { "x-request-id": id } })
          assert.strictEqual(headers["x-request-id"], id)
        }
        for (const id of ["", "a b", "a,b", '"', "<script>", "é", "x".repeat(129)]) {
          const { headers } = yield* send({ path, headers: { "x-request-id": id } })
          assert.match(String(headers["x-request-id"]), uuid)
        }
      }
      const [first, second] = [yield* send({}), yield* send({})]
      assert.notStrictEqual(first.headers["x-request-id"], second.headers["x-request-id"])
    })
  )

  it.effect("refuses a body that is not JSON: 400", () =>
    areRefused(400, "malformed-request", {
      nothing: postText(undefined),
      "an empty body": postText(""),
      "white space": postText(" \n"),
      "an open object": postText("{"),
      "a trailing comma": postText('{"order_id":1,}'),
      "single quotes": postText("{'order_id':1}"),
      "two values": postText("{}{}"),
      NaN: postText('{"order_id":NaN}'),
      "a form": postText("order_id=1"),
      "a byte order mark within": postText(`{\ufeff${JSON.stringify(validOrder).slice(1)}`),
      "two byte order marks": postText(`\ufeff\ufeff${JSON.stringify(validOrder)}`),
      "a raw control character": postText('{"order_id":"\n"}'),
      "not UTF-8": postText(Buffer.from('{"order_id":"\xff\xfe"}', "latin1")),
      "a cut UTF-8 sequence": postText(Buffer.from(JSON.stringify({ order_id: "é" })).subarray(0, -3)),
      "an encoded surrogate": postText(Buffer.from('{"order_id":"\xed\xa0\x80"}', "latin1")),
      "UTF-16": postText(Buffer.from(JSON.stringify(validOrder), "utf16le"))
    })
  )

  it.effect("takes JSON behind a byte order mark", () =>
    Effect.gen(function* () {
      const { status } = yield* send(postText(`\ufeff${JSON.stringify({ ...validOrder, order_id: 31 })}`))
      assert.strictEqual(status, 202)
    })
  )

  it.effect("refuses a body nested deeper than 64 levels: 400", () =>
    Effect.gen(function* () {
      yield* areRefused(400, "malformed-request", {
        "20,000 in metadata": postText(deepOrder(10, 20_000)),
        "10,000 objects": postText(`${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`),
        "20,000 arrays": postText(nested(20_000)),
        "65 levels": postText(deepOrder(10, 65)),
        "65 arrays": postText(nested(65))
      })
      assert.strictEqual((yield* send(postText(deepOrder(10, 64)))).status, 202)
      assert.strictEqual((yield* send(get("/api/order/10"))).status, 200)
    })
  )

  it.effect("refuses a body over 64 KiB: 413", () =>
    Effect.gen(function* () {
      const megabyte = orderOf(11, 1_000_000)
      const chunks = (bytes: number) => [
        orderOf(11, 1000),
        ...Array.from({ length: bytes / 1000 - 1 }, () => " ".repeat(1000))
      ]
      yield* areRefused(413, "body-too-large", {
        "1 MB": postText(megabyte),
        "1 MB in chunks": postText(chunks(1_000_000)),
        "a byte too much": postText(orderOf(11, 65_537)),
        "a chunk too much": postText(chunks(66_000)),
        "1 MB of nothing": postText(Buffer.alloc(1_000_000))
      })
      const { headers } = yield* send(postText(megabyte))
      assert.strictEqual(headers.connection, "close")

      assert.strictEqual((yield* send(postText(orderOf(11, 65_536)))).status, 202)
      assert.strictEqual((yield* send(postText(chunks(65_000)))).status, 200)
    })
  )

  it.effect("answers 413 before the body comes", () =>
    Effect.gen(function* () {
      const head = "POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      yield* isProblem(yield* sendRaw(`${head}Content-Length: 1000000\r\n\r\n`), 413, "body-too-large")
      const chunk = `11000\r\n${" ".repeat(0x11000)}\r\n`
      yield* isProblem(yield* sendRaw(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}`), 413, "body-too-large")
    })
  )

  it.effect("refuses a body that is not called JSON in UTF-8: 415", () => {
    const of = (type: string) => post(validOrder, { "content-type": type })
    return Effect.gen(function* () {
      yield* areRefused(415, "unsupported-media-type", {
        text: of("text/plain"),
        form: of("application/x-www-form-urlencoded"),
        multipart: of("multipart/form-data; boundary=x"),
        "almost JSON": of("application/json-foo"),
        "JSON patch": of("application/merge-patch+json"),
        "a suffix": of("application/vnd.order+json"),
        "text/json": of("text/json"),
        nonsense: of("json"),
        empty: of(""),
        list: of("application/json, text/plain"),
        latin1: of("application/json; charset=latin1"),
        "UTF-16": of('application/json;charset="utf-16"'),
        gzip: post(validOrder, { ...json, "content-encoding": "gzip" }),
        "gzip twice": post(validOrder, { ...json, "content-encoding": "identity, gzip" })
      })
      for (const [index, type] of [
        "application/json; charset=utf-8",
        'Application/JSON;Charset="UTF-8"',
        "application/json ; x=y"
      ].entries()) {
        const { status } = yield* send(post({ ...validOrder, order_id: 20 + index }, { "content-type": type }))
        assert.strictEqual(status, 202, type)
      }
    })
  })

  it.effect("takes a body without a media type for JSON", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* send(post({ ...validOrder, order_id: 30 }, {}))).status, 202)
    })
  )

  it.effect("refuses a change asked for by a page of another origin: 403", () =>
    Effect.gen(function* () {
      const { host, port } = new URL(yield* baseUrl)
      const from = (headers: Http.OutgoingHttpHeaders) => post({ ...validOrder, order_id: 40 }, { ...json, ...headers })
      yield* areRefused(403, "foreign-origin", {
        "another site": from({ origin: "https://evil.example" }),
        "another port": from({ origin: `http://127.0.0.1:${Number(port) + 1}` }),
        "another name": from({ origin: `http://localhost:${port}` }),
        "a longer name": from({ origin: `http://${host}.evil.example` }),
        "a name as password": from({ origin: `http://${host}@evil.example` }),
        null: from({ origin: "null" }),
        empty: from({ origin: "" }),
        "cross-site": from({ "sec-fetch-site": "cross-site" }),
        "same-site": from({ "sec-fetch-site": "same-site" }),
        "cross-site in spite of its origin": from({ "sec-fetch-site": "cross-site", origin: `http://${host}` })
      })
      assert.strictEqual((yield* send(from({ origin: `http://${host}` }))).status, 202)
      assert.strictEqual((yield* send(from({ origin: `http://${host}`, "sec-fetch-site": "same-origin" }))).status, 200)
      assert.strictEqual((yield* send(from({ "sec-fetch-site": "none" }))).status, 200)
    })
  )

  it.effect("refuses a page of another origin what shows orders, and nothing else: 403", () =>
    Effect.gen(function* () {
      const from = (path: string, headers: Http.OutgoingHttpHeaders): Request => ({ path, headers })
      const foreign = { origin: "https://evil.example", "sec-fetch-site": "cross-site" }
      for (const path of [
        "/api/orders",
        "/api/order/101",
        "/api/failures",
        "/api/events",
        "/api/metrics",
        "/metrics"
      ]) {
        yield* areRefused(403, "foreign-origin", {
          [path]: from(path, foreign),
          [`${path} by its origin`]: from(path, { origin: "https://evil.example" }),
          [`${path} without an origin`]: from(path, { "sec-fetch-site": "cross-site" })
        })
        assert.strictEqual((yield* send({ ...from(path, foreign), method: "HEAD" })).status, 403)
        if (path !== "/api/events") {
          assert.notStrictEqual((yield* send(from(path, { "sec-fetch-site": "same-origin" }))).status, 403)
        }
      }
      for (const path of ["/health", "/readyz", "/", "/docs", "/openapi.json"]) {
        const read = yield* send(from(path, foreign))
        assert.notStrictEqual(read.status, 403, path)
        assert.notProperty(read.headers, "access-control-allow-origin")
        assert.strictEqual(read.headers["cross-origin-opener-policy"], "same-origin")
      }
    })
  )

  it.effect("refuses another host than its own, whatever is asked of it: 421", () =>
    Effect.gen(function* () {
      const under = (host: string, request: Request): Request => ({ ...request, headers: { ...request.headers, host } })
      yield* areRefused(421, "misdirected-request", {
        "a list": under("evil.test", get("/api/orders")),
        "a page": under("evil.test:3000", get("/")),
        "no route": under("evil.test", get("/nothing")),
        "the fast way": under("evil.test", post({ ...validOrder, order_id: 41 })),
        "no change at all": under("evil.test", { method: "DELETE", path: "/api/order/101" })
      })
      const two = "GET /api/orders HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n"
      yield* problemOf(yield* sendRaw(two), 421)
      for (const host of [
        "localhost",
        "LOCALHOST.:3000",
        "orders.localhost:1",
        "10.0.0.1:3000",
        "[::1]:3000",
        "127.0.0.1"
      ]) {
        assert.strictEqual((yield* send(under(host, get("/health")))).status, 200, host)
      }
    })
  )

  it.effect("refuses a path it does not serve: 404", () =>
    areRefused(404, "route-not-found", {
      unknown: get("/nothing"),
      "no id": get("/api/order/"),
      "more than an id": get("/api/order/1/items"),
      "slash behind an id": get("/api/order/1/"),
      "slash behind": get("/health/"),
      "two slashes": get("//health"),
      "other case": get("/HEALTH"),
      dots: get("/docs/../../etc/passwd"),
      "encoded dots": get("/docs/%2e%2e/%2e%2e/etc/passwd"),
      "posting elsewhere": { ...post(validOrder), path: "/orders" },
      "1 MB elsewhere": { ...postText("x".repeat(1_000_000)), path: "/orders" }
    })
  )

  it.effect("refuses a method a path does not have: 405, and says which it has", () =>
    Effect.gen(function* () {
      const requests = [
        ["POST", "/health", "GET, HEAD"],
        ["POST", "/docs", "GET, HEAD"],
        ["PUT", "/openapi.json", "GET, HEAD"],
        ["GET", "/api/order", "POST"],
        ["HEAD", "/api/order", "POST"],
        ["PUT", "/api/order", "POST"],
        ["OPTIONS", "/api/order", "POST"],
        ["DELETE", "/api/order/1", "GET, HEAD"],
        ["PATCH", "/api/order/%ZZ", "GET, HEAD"],
        ["TRACE", "/health", "GET, HEAD"]
      ] as const
      for (const [method, path, allow] of requests) {
        const name = `${method} ${path}`
        const answer = yield* send({ method, path })
        assert.strictEqual(answer.headers.allow, allow, name)
        assert.strictEqual(answer.status, 405, name)
        if (method === "HEAD") continue
        const problem = yield* isProblem(answer, 405, "method-not-allowed", name)
        assert.deepStrictEqual(problem.allow, allow.split(", "))
      }
    })
  )

  it.effect("does not know an order it never took: 404", () =>
    Effect.gen(function* () {
      for (const id of ["nobody", "0", "0101", "y".repeat(64)]) {
        const answer = yield* send(get(`/api/order/${id}`))
        const { detail } = yield* isProblem(answer, 404, "order-not-found", id)
        assert.strictEqual(detail, "Order not found")
      }
    })
  )

  it.effect("refuses an id that is none: 422", () =>
    Effect.gen(function* () {
      for (const id of ["-1", "%20", "%00", "a%2Fb", "%C3%A9", "a%0A", "x".repeat(65), "x".repeat(100)]) {
        assert.deepStrictEqual(yield* faults(get(`/api/order/${id}`)), ["/order_id"], id)
      }
    })
  )

  it.effect("refuses an id of 200 characters like one of 65", () =>
    Effect.gen(function* () {
      for (const length of [101, 200, 5000]) {
        assert.deepStrictEqual(yield* faults(get(`/api/order/${"x".repeat(length)}`)), ["/order_id"])
      }
    })
  )

  it.effect("refuses an id that cannot be decoded", () =>
    Effect.gen(function* () {
      for (const id of ["%ZZ", "%", "a%2", "%FF", "%C3"]) {
        const answer = yield* send(get(`/api/order/${id}`))
        assert.include([400, 404, 422], answer.status, id)
        yield* problemOf(answer, answer.status, id)
        isSecured(answer, id)
      }
    })
  )

  it.effect("refuses an order that is none, naming each fault: 422", () =>
    Effect.gen(function* () {
      const { order_id, ...rest } = validOrder
      for (const body of [[], [validOrder], null, "order", 1, true]) {
        const { errors } = yield* isProblem(yield* send(post(body)), 422, "invalid-request")
        assert.deepStrictEqual(errors, [{ pointer: "", detail: "expected a JSON object" }], JSON.stringify(body))
      }
      assert.deepStrictEqual(yield* faults(post({})), ["/order_id", "/user_id", "/item_ids", "/total_amount"])
      assert.deepStrictEqual(yield* faults(post(rest)), ["/order_id"])
      assert.deepStrictEqual((yield* faults(post({ ...validOrder, status: "Completed", "a/b~c": order_id }))).sort(), [
        "/a~1b~0c",
        "/status"
      ])
      assert.deepStrictEqual(yield* faults(postText(JSON.stringify(validOrder).replace("{", '{"__proto__":{},'))), [
        "/__proto__"
      ])
      assert.deepStrictEqual(
        (yield* faults(post({ order_id: -1, item_ids: [1, 0, null], total_amount: 0.00001, user_id: 1, x: 1 }))).sort(),
        ["/item_ids/1", "/item_ids/2", "/order_id", "/total_amount", "/x"]
      )
      const amounts = ["1e400", "-1e400", "1e21", "1e-7", "-0.01", "0.00001", "100000000000", '"0x10"']
      for (const amount of amounts) {
        const body = JSON.stringify({ ...validOrder, total_amount: 0 }).replace(/0}$/, `${amount}}`)
        assert.deepStrictEqual(yield* faults(postText(body)), ["/total_amount"], body)
      }
      for (const number of ["1e400", "-1e400", "9007199254740992", "9007199254740993"]) {
        const body = JSON.stringify({ ...validOrder, metadata: {} }).replace("{}", `{"a":[${number}]}`)
        assert.deepStrictEqual(yield* faults(postText(body)), ["/metadata"], body)
      }
    })
  )

  it.effect("caps the faults it lists at 100, and counts all", () =>
    Effect.gen(function* () {
      const answer = yield* send(post({ ...validOrder, item_ids: Array.from({ length: 1000 }, () => -1) }))
      const { detail, errors = [] } = yield* isProblem(answer, 422, "invalid-request")
      assert.strictEqual(errors.length, 100)
      assert.deepStrictEqual(errors[99]?.pointer, "/item_ids/99")
      assert.include(detail, "1000 faults")
    })
  )

  it.effect("answers what is not HTTP with a problem, and goes on", () =>
    Effect.gen(function* () {
      const head = "POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      const unreadable = {
        garbage: "GARBAGE\r\n\r\n",
        "unknown method": "FETCH /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "unknown version": "GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "TLS on a plain port": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "bad header": "GET /health HTTP/1.1\r\nHost: localhost\r\nBad Header\r\n\r\n",
        "letters beyond ASCII": "GET /api/order/\u00e9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "bad length": `${head}Content-Length: many\r\n\r\n`,
        "negative length": `${head}Content-Length: -1\r\n\r\n`,
        "two lengths": `${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
        "length and chunks": `${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
        "bad chunk": `${head}Transfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n`
      }
      for (const [name, bytes] of Object.entries(unreadable)) yield* problemOf(yield* sendRaw(bytes), 400, name)

      const huge = `GET /health HTTP/1.1\r\nHost: localhost\r\nX-Huge: ${"x".repeat(20_000)}\r\n\r\n`
      yield* problemOf(yield* sendRaw(huge), 431)
      yield* problemOf(yield* sendRaw(`GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`), 431)

      assert.strictEqual((yield* send(post({ ...validOrder, order_id: 50 }))).status, 202)
    })
  )

  it.effect("answers a request without a Host, or with an unknown Expect, with a problem", () =>
    Effect.gen(function* () {
      yield* problemOf(yield* sendRaw("GET /health HTTP/1.1\r\n\r\n"), 400)
      yield* problemOf(yield* sendRaw("GET /health HTTP/1.1\r\nHost: localhost\r\nExpect: more\r\n\r\n"), 417)
    })
  )

  it.effect("takes an order from a client that offers HTTP/2, as Java's does", () =>
    Effect.gen(function* () {
      const h2c = {
        connection: "Upgrade, HTTP2-Settings",
        upgrade: "h2c",
        "http2-settings": "AAEAAEAAAAIAAAABAAMAAABk"
      }
      const { status, text } = yield* send(post({ ...validOrder, order_id: 60 }, { ...json, ...h2c }))
      assert.strictEqual(status, 202, text)
    })
  )

  it.effect("goes on after clients that hang up in the middle", () =>
    Effect.gen(function* () {
      const before = yield* storedOrders
      const url = new URL(yield* baseUrl)
      const starts = [
        "POST /api/or",
        "POST /api/order HTTP/1.1\r\nHost: localhost\r\n",
        'POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"order_id":70,',
        'POST /api/order HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ord\r\n',
        "POST /api/order HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{"
      ]
      for (const start of starts) {
        yield* Effect.async<void>((resume) => {
          const socket = Net.connect(Number(url.port), url.hostname, () =>
            socket.write(start, () => socket.resetAndDestroy())
          )
          socket.on("error", () => {}).on("close", () => resume(Effect.void))
        })
      }
      assert.strictEqual((yield* send(post({ ...validOrder, order_id: 70 }))).status, 202)
      assert.strictEqual(yield* storedOrders, before + 1)
    })
  )
})

/** Its orders find the shop closed for ten minutes, but for those that tell the trace they are part of. */
const traceOrDown = processor(({ user_id }) =>
  user_id === "down"
    ? new Unavailable({ message: "down", delay: Duration.minutes(10) })
    : Effect.currentSpan.pipe(
        Effect.orDie,
        Effect.map((span) => [span.traceId, Option.getOrNull(Option.map(span.parent, ({ spanId }) => spanId))]),
        Effect.withSpan("processing")
      )
)

layer(service({ repo: memoryRepo, processor: traceOrDown }), { excludeTestServices: true })("Processing", (it) => {
  const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"]
  const traceparent = `00-${traceId}-${spanId}-01`
  const trace = (id: number) =>
    Effect.map(send(get(`/api/order/${id}?wait=10`)), ({ text }) =>
      Schema.decodeUnknownSync(Schema.Tuple(Schema.String, Schema.NullOr(Schema.String)))(JSON.parse(text).result)
    )

  it.effect("goes on in the trace of the request, for one order and for many", () =>
    Effect.gen(function* () {
      const headers = { ...json, traceparent }
      assert.strictEqual((yield* send(post({ ...validOrder, order_id: 1 }, headers))).status, 202)
      const many = [2, 3].map((order_id) => ({ ...validOrder, order_id }))
      assert.strictEqual((yield* send({ ...post(many, headers), path: "/api/orders" })).status, 200)
      const lines = { ...postText(JSON.stringify({ ...validOrder, order_id: 4 }), headers), path: "/api/orders" }
      const ndjson = { ...lines, headers: { ...headers, "content-type": "application/x-ndjson" } }
      assert.strictEqual((yield* send(ndjson)).status, 200)
      for (const id of [1, 2, 3, 4]) assert.deepStrictEqual(yield* trace(id), [traceId, spanId])
    })
  )

  it.effect("begins a trace if the request brings none, or one that is none", () =>
    Effect.gen(function* () {
      const invalid = [
        undefined,
        "",
        "x",
        "x".repeat(5000),
        traceId,
        `00-${traceId}-${spanId}`,
        `00-${traceId}-${spanId}-01-`,
        `ff-${traceId}-${spanId}-01`,
        `00-${traceId.slice(1)}-${spanId}-01`,
        `00-${traceId}0-${spanId}-01`,
        `00-${traceId}-${spanId.replace("b", "g")}-01`,
        `00-${traceId.replace("a", "é")}-${spanId}-01`,
        `${traceparent}, ${traceparent}`
      ]
      const seen = new Set<string>()
      for (const [index, traceparent] of invalid.entries()) {
        const order_id = 100 + index
        const headers = traceparent === undefined ? json : { ...json, traceparent }
        const b3 = { b3: `${traceId}-${spanId}-1` }
        assert.strictEqual((yield* send(post({ ...validOrder, order_id }, { ...headers, ...b3 }))).status, 202)
        const [id, parent] = yield* trace(order_id)
        assert.match(id, /^[0-9a-f]{32}$/)
        assert.isNull(parent, traceparent)
        seen.add(id)
      }
      assert.strictEqual(seen.size, invalid.length)
    })
  )

  it.effect("shows an open breaker, which keeps no order from being taken", () =>
    Effect.gen(function* () {
      const api = yield* client
      for (let id = 1001; id <= 1010; id++) {
        assert.strictEqual((yield* send(post({ ...validOrder, order_id: id, user_id: "down" }))).status, 202)
      }
      const { breaker } = yield* Effect.repeat(api.service.metrics(), {
        until: ({ breaker }) => breaker.state === "open"
      })
      assert.strictEqual(breaker.failures_in_a_row, 10)
      const [openedAt, probeAt] = [Option.getOrThrow(breaker.opened_at), Option.getOrThrow(breaker.next_probe_at)]
      assert.strictEqual(DateTime.distance(openedAt, probeAt), 600_000)
      const shown = {
        state: "open",
        failures_in_a_row: 10,
        last_error_code: "unavailable",
        opened_at: DateTime.formatIso(openedAt),
        next_probe_at: DateTime.formatIso(probeAt)
      }
      assert.deepStrictEqual(JSON.parse((yield* send(get("/api/metrics"))).text).breaker, shown)

      const ready = yield* send(get("/readyz?verbose"))
      assert.strictEqual(ready.status, 200)
      assert.strictEqual(
        ready.text,
        JSON.stringify({ status: "ok", checks: { writes: "ok", reads: "ok", breaker: shown } })
      )
      assert.strictEqual((yield* send(get("/readyz"))).text, '{"status":"ok"}')
      const { checks } = yield* api.service.ready({ urlParams: { verbose: "" } })
      assert.deepStrictEqual(checks?.breaker, breaker)

      assert.strictEqual((yield* send(post({ ...validOrder, order_id: 2000 }))).status, 202)
      assert.strictEqual(JSON.parse((yield* send(get("/api/order/2000"))).text).status, "Pending")
    })
  )
})
