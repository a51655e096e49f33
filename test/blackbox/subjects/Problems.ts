import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { at, json } from "../Caller.ts"
import type { Request } from "../Exchange.ts"
import { expectStatus, held, hold, order, type Subject } from "../Subject.ts"

const valid = order(1)
const text = (body: string | Buffer, headers: Request["headers"] = json): Request => ({
  method: "POST",
  path: "/api/order",
  headers,
  body
})
const value = (body: unknown, headers?: Request["headers"]) => text(JSON.stringify(body), headers)
const typed = (type: string) => value(valid, { "content-type": type })
const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels)
const on = (method: string, path: string): Request => ({ method, path })

const requests: Readonly<Record<number, ReadonlyArray<Request>>> = {
  400: [
    on("POST", "/api/order"),
    ...["", " \n", "{", '{"order_id":1,}', "{'order_id':1}", "{}{}", '{"order_id":NaN}', "order_id=1", nested(65)].map(
      (body) => text(body)
    ),
    text('{"order_id":"\n"}'),
    text(Buffer.from('{"order_id":"\xff\xfe"}', "latin1")),
    text(Buffer.from('{"order_id":"\xed\xa0\x80"}', "latin1")),
    text(Buffer.from(JSON.stringify(valid), "utf16le")),
    text(`\ufeff\ufeff${JSON.stringify(valid)}`)
  ],
  403: [
    { origin: "https://evil.example" },
    { origin: "null" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" }
  ].flatMap(
    (headers): ReadonlyArray<Request> => [
      value(valid, { ...json, ...headers }),
      { path: "/api/orders", headers },
      { path: "/api/events", headers },
      { path: "/metrics", headers }
    ]
  ),
  404: [
    ...["/nothing", "/api/order/", "/api/order/1/items", "/api/order/1/", "/health/", "//health", "/HEALTH"].map(
      (path) => on("GET", path)
    ),
    on("GET", "/docs/%2e%2e/etc/passwd"),
    { ...value(valid), path: "/orders" },
    ...["nobody", "0", "0101", "HOLD-1", "hold-1.", "y".repeat(64)].map((id) => on("GET", `/api/order/${id}`))
  ],
  405: [
    on("POST", "/health"),
    on("PUT", "/openapi.json"),
    on("GET", "/api/order"),
    on("PUT", "/api/order"),
    on("OPTIONS", "/api/order"),
    on("DELETE", "/api/order/hold-1"),
    on("DELETE", "/api/orders"),
    on("PATCH", "/api/order/%ZZ"),
    on("POST", "/metrics"),
    on("POST", "/api/changes")
  ],
  413: [text(JSON.stringify(valid).padEnd(65_537)), text(" ".repeat(1_000_000))],
  415: [
    ...["text/plain", "application/json-foo", "text/json", "application/x-ndjson", "json", ""].map(typed),
    ...["application/json; charset=latin1", "application/json, text/plain", "application/vnd.order+json"].map(typed),
    value(valid, { ...json, "content-encoding": "gzip" })
  ],
  417: [{ path: "/health", headers: { expect: "more" } }],
  421: [
    { path: "/api/orders", headers: { host: "evil.test" } },
    value(valid, { ...json, host: "evil.test:3000" }),
    { path: "/nothing", headers: { host: "evil.test" } }
  ],
  422: [
    ...[[], [valid], null, "order", 1, true, {}].map((body) => value(body)),
    value({ ...valid, order_id: -1, item_ids: [1, 0, null, "", {}], total_amount: 0.00001, user_id: [], x: 1 }),
    value({ ...valid, "a/b~c": 1, "": 2, "\u0000": 3, ж: 4 }),
    text(JSON.stringify(valid).replace("{", '{"__proto__":{},')),
    ...["1e400", "-1e400", "1e21", "1e-7", "-0.01", "0.00001", "100000000000", '"0x10"', '"1,0"', '" 1"'].map(
      (amount) => text(JSON.stringify(order(1, { total_amount: null })).replace("null", amount))
    ),
    ...["1e400", "9007199254740992", "-9007199254740993"].map((number) =>
      text(JSON.stringify(order(1, { metadata: null })).replace("null", `{"a":[${number}]}`))
    ),
    ...["eur", "EURO", "", "ЕUR", "EUR "].map((currency) => value({ ...valid, currency })),
    ...[[], "none", 1, { a: "x".repeat(8192) }].map((metadata) => value({ ...valid, metadata })),
    value({ ...valid, item_ids: [] }),
    value({ ...valid, item_ids: Array(1001).fill(1) }),
    value({ ...valid, item_ids: Array(1000).fill(-1) }),
    ...["-1", "%20", "%00", "a%2Fb", "%C3%A9", "a%0A", "x".repeat(65), "x".repeat(200)].map((id) =>
      on("GET", `/api/order/${id}`)
    )
  ],
  431: [{ path: "/health", headers: { "x-huge": "x".repeat(20_000) } }]
}

export const problems: Subject = {
  title: "what is refused",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { get, post, send } = caller
      yield* hold(caller)
      for (const [status, some] of Object.entries(requests)) {
        for (const request of some) {
          const answer = yield* send(request)
          expectStatus(Number(status))(answer)
          if (request.method !== "HEAD") {
            assert.strictEqual(answer.headers["content-type"], "application/problem+json")
            assert.strictEqual(at(answer, "status"), Number(status))
          }
        }
      }
      for (const id of ["%ZZ", "%", "%FF", "%C3"]) yield* get(`/api/order/${id}`)
      // Nothing of all that was stored, and a good one is taken.
      assert.strictEqual(at(yield* get("/api/metrics"), "total_orders"), 2)
      expectStatus(202)(yield* post("/api/order", valid))
    })
}
