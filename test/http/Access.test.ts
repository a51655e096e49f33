import * as Http from "node:http"
import * as Net from "node:net"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpServer from "@effect/platform/HttpServer"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Option } from "effect"
import { hashOf, randomKey } from "../../src/access/ApiKey.ts"
import { Api } from "../../src/api/Api.ts"
import { type Scope, scopes } from "../../src/api/Scope.ts"
import { HttpByRouterLive, HttpLive } from "../../src/http/Http.ts"
import { protectedService } from "../support/ProtectedService.ts"
import { memoryRepo, service } from "../support/TestLayers.ts"
import { openStream } from "../support/Watcher.ts"

interface Answered {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

const ask = (url: string, method: string, headers: Http.OutgoingHttpHeaders = {}, body?: string) =>
  Effect.async<Answered>((resume) => {
    const request = Http.request(url, { method, headers, agent: false }, (response) => {
      const { headers, statusCode: status = 0 } = response
      // Of a stream of events the head is enough.
      if (headers["content-type"] === "text/event-stream") {
        response.destroy()
        return resume(Effect.succeed({ status, headers, body: "" }))
      }
      const chunks: Array<Buffer> = []
      response
        .on("data", (chunk: Buffer) => chunks.push(chunk))
        .on("end", () => resume(Effect.succeed({ status, headers, body: Buffer.concat(chunks).toString() })))
    })
    request.on("error", (error) => resume(Effect.die(error))).end(body)
  })

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

/** What the contract says of each route: where it is, and the scope it needs, or none that it is open. */
const routes: Array<{ readonly method: string; readonly path: string; readonly scope: Scope | "any" | "open" }> = [
  { method: "GET", path: "/metrics", scope: "metrics" },
  ...["/", "/dashboard/main.js", "/dashboard/theme.js", "/dashboard/style.css", "/dashboard/icon.svg"].map((path) => ({
    method: "GET",
    path,
    scope: "open" as const
  })),
  { method: "GET", path: "/docs", scope: "open" },
  { method: "GET", path: "/openapi.json", scope: "open" }
]
/** Written down here, not read from the contract, which could have it wrong. */
const scopeOf: Readonly<Record<string, Scope | "any" | "open">> = {
  submit: "submit",
  submitMany: "submit",
  find: "read",
  list: "read",
  history: "read",
  changes: "read",
  watch: "read",
  failures: "read",
  cancel: "operate",
  retry: "operate",
  retryMany: "operate",
  metrics: "metrics",
  nodes: "metrics",
  key: "any",
  health: "open",
  live: "open",
  ready: "open"
}
HttpApi.reflect(Api, {
  onGroup: () => {},
  onEndpoint: ({ endpoint: { method, name, path } }) => {
    const scope = scopeOf[name]
    if (scope === undefined) throw new Error(`no scope is written down for ${name}`)
    routes.push({ method, path: path.replace(":order_id", "1"), scope })
  }
})

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
const problemOf = ({ body }: Answered): unknown => JSON.parse(body).type.replace("urn:orders:problem:", "")

for (const [name, http] of [
  ["with the fast way of POST", HttpLive],
  ["by the router alone", HttpByRouterLive]
] as const) {
  describe(`A service with keys, ${name}`, () => {
    it.scopedLive("answers no route of the contract or beside it without a key, but the open ones", () =>
      Effect.gen(function* () {
        const { url } = yield* protectedService({ all: [scopes.join()] }, http)
        for (const { path, scope } of routes) {
          const open = routes.some((route) => route.path === path && route.scope === "open")
          assert.strictEqual(open, scope === "open")
          for (const method of methods) {
            const answered = yield* ask(url + path, method)
            if (open) assert.include([200, 404, 405], answered.status, `${method} ${path}`)
            else {
              assert.strictEqual(answered.status, 401, `${method} ${path}`)
              assert.strictEqual(answered.headers["www-authenticate"], 'Bearer realm="orders"')
              if (method !== "HEAD") assert.strictEqual(problemOf(answered), "unauthorized")
            }
          }
        }
        // A foreign host is refused before any key is looked at.
        const foreign = yield* ask(`${url}/api/orders`, "GET", { host: "evil.test", ...bearer(randomKey()) })
        assert.strictEqual(foreign.status, 421)
        // What is not there is not shown either.
        for (const path of ["/api/none", "/api/order/", "/api/order/1/none", "/api/"]) {
          assert.strictEqual((yield* ask(url + path, "GET")).status, 401, path)
        }
        for (const path of ["/none", "/%61pi/orders", "//api/orders", "/API/orders"]) {
          assert.strictEqual((yield* ask(url + path, "GET")).status, 404, path)
        }
      })
    )

    it.scopedLive("answers each route to a key with its scope, and 403 to one with all the others", () =>
      Effect.gen(function* () {
        const { key, url } = yield* protectedService(
          {
            ...Object.fromEntries(scopes.map((scope) => [scope, [scope]] as const)),
            ...Object.fromEntries(
              scopes.map((scope) => [`no-${scope}`, [scopes.filter((other) => other !== scope).join()]] as const)
            )
          },
          http
        )
        for (const { method, path, scope } of routes) {
          if (scope === "open") continue
          for (const sent of method === "GET" ? ["GET", "HEAD"] : [method]) {
            const good = yield* ask(url + path, sent, bearer(key(scope === "any" ? "submit" : scope)))
            assert.notInclude([401, 403], good.status, `${sent} ${path}`)
            if (scope === "any") continue
            const lacking = yield* ask(url + path, sent, bearer(key(`no-${scope}`)))
            assert.strictEqual(lacking.status, 403, `${sent} ${path}`)
            assert.strictEqual(
              lacking.headers["www-authenticate"],
              `Bearer realm="orders", error="insufficient_scope", scope="${scope}"`
            )
          }
          // A method that the path has not: 405 only for who may call it by another.
          const needed = routes.flatMap((route) => (route.path === path ? [route.scope] : []))
          const lesser = scopes.find((scope) => !needed.includes(scope) && !needed.includes("any"))
          if (lesser === undefined) continue
          assert.strictEqual((yield* ask(url + path, "DELETE", bearer(key(lesser)))).status, 403, `DELETE ${path}`)
        }
        assert.strictEqual((yield* ask(`${url}/api/order`, "DELETE", bearer(key("submit")))).status, 405)
        assert.strictEqual((yield* ask(`${url}/api/none`, "GET", bearer(key("submit")))).status, 404)
      })
    )

    it.scopedLive("says of an order whether it exists only to who may read it", () =>
      Effect.gen(function* () {
        const { key, url } = yield* protectedService({ submit: ["submit"], read: ["read"] }, http)
        const order = JSON.stringify({ order_id: 1, user_id: 1, item_ids: [1], total_amount: 1 })
        const json = { "content-type": "application/json" }
        assert.strictEqual((yield* ask(`${url}/api/order`, "POST", json, order)).status, 401)
        assert.strictEqual(
          (yield* ask(`${url}/api/order`, "POST", { ...json, ...bearer(key("read")) }, order)).status,
          403
        )
        assert.strictEqual(
          (yield* ask(`${url}/api/order`, "POST", { ...json, ...bearer(key("submit")) }, order)).status,
          202
        )
        for (const [name, statuses] of [
          ["none", [401, 401, 401]],
          ["submit", [403, 403, 403]],
          ["read", [200, 404, 422]]
        ] as const) {
          const headers = name === "none" ? {} : bearer(key(name))
          const found = yield* Effect.forEach(["1", "2", "!"], (id) => ask(`${url}/api/order/${id}`, "GET", headers))
          assert.deepStrictEqual(found.map(({ status }) => status).join(), statuses.join(), name)
        }
      })
    )

    it.scopedLive("reads no body before it knows the key", () =>
      Effect.gen(function* () {
        const { url } = yield* protectedService({ shop: ["submit"] }, http)
        const answered = yield* Effect.async<number | undefined>((resume) => {
          const request = Http.request(
            `${url}/api/orders`,
            { method: "POST", agent: false, headers: { "content-type": "application/json", "content-length": 1000 } },
            ({ statusCode }) => {
              resume(Effect.succeed(statusCode))
              request.destroy()
            }
          )
          // The rest of the body never comes.
          request.on("error", () => {}).write("[")
        })
        assert.strictEqual(answered, 401)
      })
    )
  })
}

describe("A request without a key", () => {
  it.scopedLive("cannot go on sending a body without end: its connection is closed after the answer", () =>
    Effect.gen(function* () {
      const { url } = yield* protectedService({ shop: ["submit"] })
      const { hostname, port } = new URL(url)
      const chunk = Buffer.from(`10000\r\n${"x".repeat(65_536)}\r\n`)
      const { answer, sent } = yield* Effect.async<{ answer: string; sent: number }>((resume) => {
        const socket = Net.connect(Number(port), hostname)
        let answer = ""
        const send = () => {
          while (!socket.destroyed && socket.write(chunk));
        }
        socket.write(`POST /api/orders HTTP/1.1\r\nhost: ${hostname}\r\ntransfer-encoding: chunked\r\n\r\n`)
        socket
          .on("drain", send)
          .on("data", (data) => {
            answer += data.toString()
          })
          .on("error", () => {})
          .on("close", () => resume(Effect.succeed({ answer, sent: socket.bytesWritten })))
        send()
      })
      assert.match(answer, /^HTTP\/1.1 401 /)
      assert.match(answer, /\r\nconnection: close\r\n/i)
      assert.isBelow(sent, 64 * 1024 * 1024)
    })
  )
})

describe("A key", () => {
  it.scopedLive("is taken by the rules of RFC 6750, and nothing else is", () =>
    Effect.gen(function* () {
      const { key, url } = yield* protectedService({ shop: ["read"], all: [scopes.join()] })
      const good = key("shop")
      const status = (authorization: string) => ask(`${url}/api/key`, "GET", { authorization })
      for (const authorization of [`Bearer ${good}`, `bearer ${good}`, `BEARER   ${good}  `]) {
        assert.strictEqual((yield* status(authorization)).status, 200, authorization)
      }
      for (const authorization of ["", good, `Basic ${good}`, `Bearer${good}`, `Bearer ${good} ${good}`, "Bearer ü"]) {
        const answered = yield* status(Buffer.from(authorization, "utf8").toString("latin1"))
        assert.strictEqual(answered.status, 401, authorization)
        assert.strictEqual(answered.headers["www-authenticate"], 'Bearer realm="orders"')
      }
      for (const wrong of [`${good}x`, good.slice(0, -1), good.toUpperCase(), hashOf(good), "ord_", randomKey()]) {
        const answered = yield* status(`Bearer ${wrong}`)
        assert.strictEqual(answered.status, 401, wrong)
        assert.strictEqual(answered.headers["www-authenticate"], 'Bearer realm="orders", error="invalid_token"')
        assert.notInclude(answered.body, wrong)
      }
      // Neither in the address nor in a cookie.
      assert.strictEqual((yield* ask(`${url}/api/key?access_token=${good}`, "GET")).status, 401)
      assert.strictEqual((yield* ask(`${url}/api/key`, "GET", { cookie: `apiKey=${good}` })).status, 401)
    })
  )

  it.scopedLive("can ask what it is", () =>
    Effect.gen(function* () {
      const { key, url } = yield* protectedService({ shop: ["read,submit", "expires=2999-01-31 rate=5/s"] })
      const answered = yield* ask(`${url}/api/key`, "GET", bearer(key("shop")))
      assert.deepStrictEqual(JSON.parse(answered.body), {
        name: "shop",
        scopes: ["read", "submit"],
        expires_at: "2999-01-31T00:00:00.000Z"
      })
    })
  )

  it.scopedLive("that has expired is refused, and named so", () =>
    Effect.gen(function* () {
      const { key, url } = yield* protectedService({ shop: ["read", "expires=2020-01-31"] })
      const answered = yield* ask(`${url}/api/key`, "GET", bearer(key("shop")))
      assert.strictEqual(answered.status, 401)
      assert.include(answered.body, "This key has expired.")
      assert.strictEqual(answered.headers["www-authenticate"], 'Bearer realm="orders", error="invalid_token"')
    })
  )

  it.scopedLive("has a rate, by which all its requests count, and no other key's", () =>
    Effect.gen(function* () {
      const { key, rewrite, url } = yield* protectedService({ slow: ["read", "rate=3/h"], fast: ["read"] })
      const once = ask(`${url}/api/key`, "GET", bearer(key("slow")))
      const first = yield* once
      assert.strictEqual(first.headers["ratelimit-policy"], '"key";q=3;w=3600')
      assert.strictEqual(first.headers.ratelimit, '"key";r=2;t=1200')
      assert.strictEqual((yield* ask(`${url}/api/none`, "GET", bearer(key("slow")))).status, 404)
      assert.strictEqual((yield* once).status, 200)
      const refused = yield* once
      assert.strictEqual(refused.status, 429)
      assert.strictEqual(problemOf(refused), "too-many-requests")
      assert.strictEqual(refused.headers["retry-after"], "1200")
      assert.strictEqual(refused.headers.ratelimit, '"key";r=0;t=1200')
      // What is used up stays so when the file is read again.
      yield* rewrite({ fast: ["read"], slow: ["read", "rate=3/h"] })
      assert.strictEqual((yield* once).status, 429)
      const other = yield* ask(`${url}/api/key`, "GET", bearer(key("fast")))
      assert.strictEqual(other.status, 200)
      assert.notProperty(other.headers, "ratelimit")
    })
  )

  it.scopedLive("with a rate has those orders of a bulk call refused that are beyond it, and the next request", () =>
    Effect.gen(function* () {
      const { key, url } = yield* protectedService({ slow: ["submit", "rate=300/h"] })
      const headers = { ...bearer(key("slow")), "content-type": "application/x-ndjson" }
      const lines = Array.from({ length: 400 }, (_, index) =>
        JSON.stringify({ order_id: index + 1, user_id: 1, item_ids: index === 5 ? [] : [1], total_amount: 1 })
      )
      const answered = yield* ask(`${url}/api/orders`, "POST", headers, lines.join("\n"))
      assert.strictEqual(answered.status, 200)
      const { results, ...counts } = JSON.parse(answered.body)
      assert.deepStrictEqual(counts, { accepted: 299, replayed: 0, conflict: 0, invalid: 1, refused: 100 })
      assert.deepStrictEqual(results[5].result, "invalid")
      assert.deepStrictEqual(results[299].result, "accepted")
      assert.deepStrictEqual(results[300], { index: 300, order_id: 301, result: "refused", retry_after: 12 })
      assert.deepStrictEqual(results[399], { index: 399, order_id: 400, result: "refused", retry_after: 1200 })
      assert.strictEqual((yield* ask(`${url}/api/orders`, "POST", headers, lines[300])).status, 429)
    })
  )

  it.scopedLive("that is wrong is slowed down after ten, while right ones from the same address go on", () =>
    Effect.gen(function* () {
      const { key, url } = yield* protectedService({ shop: ["read"] })
      const statuses = yield* Effect.forEach(Array.from({ length: 12 }, randomKey), (wrong) =>
        Effect.map(ask(`${url}/api/orders`, "GET", bearer(wrong)), ({ status }) => status)
      )
      assert.deepStrictEqual(statuses, [...Array(10).fill(401), 429, 429])
      assert.strictEqual((yield* ask(`${url}/api/orders`, "GET", bearer(key("shop")))).status, 200)
      assert.strictEqual((yield* ask(`${url}/api/orders`, "GET")).status, 401)
    })
  )
})

const watch = (url: string, key: string) => openStream(url, "", "127.0.0.1", bearer(key))

describe("An event stream", () => {
  it.scopedLive("ends when its key is taken away or good for something else, and not with the keys of others", () =>
    Effect.gen(function* () {
      const { key, rewrite, url } = yield* protectedService({ shop: ["read"], desk: ["read"], other: ["read"] })
      const shop = yield* watch(url, key("shop"))
      const desk = yield* watch(url, key("desk"))
      const other = yield* watch(url, key("other"))
      yield* rewrite({ desk: ["submit"], other: ["read", "rate=9/s"] })
      assert.isTrue(yield* shop.ended)
      assert.isTrue(yield* desk.ended)
      assert.strictEqual((yield* watch(url, key("shop"))).status, 401)
      assert.strictEqual((yield* watch(url, key("desk"))).status, 403)
      const outcome = yield* Effect.timeoutOption(other.ended, "300 millis")
      assert.isTrue(Option.isNone(outcome))
    })
  )

  it.scopedLive("ends with its key", () =>
    Effect.gen(function* () {
      const at = DateTime.formatIso(DateTime.add(yield* DateTime.now, { seconds: 3 }))
      const { key, url } = yield* protectedService({ shop: ["read", `expires=${at}`] })
      assert.isTrue(yield* Effect.flatMap(watch(url, key("shop")), ({ ended }) => ended))
      assert.strictEqual((yield* ask(`${url}/api/key`, "GET", bearer(key("shop")))).status, 401)
    })
  )
})

describe("A service without keys", () => {
  it.scopedLive("takes everyone for one with all scopes", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(service({ repo: memoryRepo }))
      const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), context)
      for (const headers of [{}, bearer(randomKey())]) {
        const answered = yield* ask(`${url}/api/key`, "GET", headers)
        assert.deepStrictEqual(JSON.parse(answered.body), { name: null, scopes: [...scopes], expires_at: null })
      }
    })
  )
})
