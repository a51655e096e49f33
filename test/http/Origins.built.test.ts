import { once } from "node:events"
import * as Http from "node:http"
import { assert, it } from "@effect/vitest"
import { Array as Arr, Effect, Predicate } from "effect"
import { inBrowser, openPage } from "../support/Browser.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

/** A page of somebody else. */
const hostilePage = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = Http.createServer((_, response) => {
      response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Win a prize</title>")
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    return server
  }),
  (server) => Effect.sync(() => server.close().closeAllConnections())
)

inBrowser("A page of somebody else", () => {
  for (const name of ["127.0.0.1", "localhost", "evil.test"]) {
    it.scopedLive(`at ${name} reads nothing, changes nothing and holds no stream`, () =>
      Effect.gen(function* () {
        const service = yield* startService(yield* temporaryFolder)
        yield* Effect.promise(() => post(service.url, aNewOrder(101)))
        const address = (yield* hostilePage).address()
        const page = yield* openPage
        yield* Effect.promise(async () => {
          await page.goto(`http://${name}:${Predicate.isObject(address) && "port" in address ? address.port : ""}/`)
          const failed = await page.evaluate(async (url) => {
            const stream = new EventSource(`${url}/api/events`)
            const streamEnds = new Promise((resolve) => {
              stream.onerror = () => resolve("stream")
            })
            const ask = (path: string, options: RequestInit = { mode: "no-cors" }) =>
              fetch(`${url}${path}`, options).then(
                () => "read",
                () => "not readable"
              )
            const order = '{"order_id":666,"user_id":1,"item_ids":[1],"total_amount":1}'
            const read = [
              await ask("/api/orders", {}),
              await ask("/metrics"),
              await ask("/api/order/101/cancel", { method: "POST", mode: "no-cors" }),
              await ask("/api/order", { method: "POST", mode: "no-cors", body: order })
            ]
            return [await streamEnds, ...read]
          }, service.url)
          assert.deepStrictEqual(failed, ["stream", ...Arr.replicate("not readable", 4)])
          const counted = await (await fetch(`${service.url}/metrics`)).text()
          const refused = /^http_server_request_duration_seconds_count\{.*method="(\w+)".*"403".*route="(.*?)"\} 1$/gm
          assert.deepStrictEqual(
            Array.from(counted.matchAll(refused), ([, method, route]) => `${method} ${route}`).sort(),
            [
              "GET /api/events",
              "GET /api/orders",
              "GET /metrics",
              "POST /api/order",
              "POST /api/order/:order_id/cancel"
            ]
          )
          assert.strictEqual((await fetch(`${service.url}/api/order/666`)).status, 404)
        })
      })
    )
  }

  it.scopedLive("finds nothing under a name that it points at the service", () =>
    Effect.gen(function* () {
      const service = yield* startService(yield* temporaryFolder)
      const page = yield* openPage
      const rebound = service.url.replace("127.0.0.1", "evil.test")
      yield* Effect.promise(async () => {
        for (const path of ["/", "/dashboard/main.js", "/api/orders", "/api/events", "/metrics", "/docs"]) {
          const answer = await page.goto(rebound + path)
          assert.strictEqual(answer?.status(), 421, path)
          assert.include(await answer?.text(), "urn:orders:problem:misdirected-request", path)
        }
      })
    })
  )
})
