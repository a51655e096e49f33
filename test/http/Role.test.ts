import * as HttpApi from "@effect/platform/HttpApi"
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Api } from "../../src/api/Api.ts"
import { baseUrl, memoryRepo, Problem, service } from "../support/TestLayers.ts"

const endpoints: Array<{ readonly method: string; readonly path: string }> = []
HttpApi.reflect(Api, {
  onGroup: () => {},
  onEndpoint: ({ endpoint: { method, path } }) => endpoints.push({ method, path: path.replace(":order_id", "101") })
})

layer(service({ repo: memoryRepo, settings: { role: "worker" } }), { excludeTestServices: true })(
  "A node with ROLE=worker",
  (it) => {
    const ask = (method: string, path: string) =>
      Effect.flatMap(baseUrl, (url) =>
        Effect.promise(async (signal) => {
          const body = method === "POST" ? "{}" : null
          const answer = await fetch(url + path, {
            method,
            body,
            headers: { "content-type": "application/json" },
            signal
          })
          if (answer.headers.get("content-type") === "text/event-stream") {
            await answer.body?.cancel()
            return { status: answer.status, text: "" }
          }
          return { status: answer.status, text: await answer.text() }
        })
      )

    it.effect("takes and changes no orders, and says which nodes do: 421", () =>
      Effect.gen(function* () {
        const changing = endpoints.filter(({ method }) => method !== "GET")
        assert.lengthOf(changing, 5)
        for (const { method, path } of changing) {
          const { status, text } = yield* ask(method, path)
          const { detail, type } = yield* Schema.decode(Problem)(text)
          assert.strictEqual(status, 421, path)
          assert.strictEqual(type, "urn:orders:problem:worker-only", path)
          assert.match(detail, /nothing was done.*ROLE=api or ROLE=all/, path)
        }
      })
    )

    it.effect("answers everything that is read, and is ready", () =>
      Effect.gen(function* () {
        for (const { method, path } of endpoints.filter(({ method }) => method === "GET")) {
          const { status } = yield* ask(method, path)
          assert.strictEqual(status, path.startsWith("/api/order/") ? 404 : 200, path)
        }
        assert.strictEqual((yield* ask("GET", "/metrics")).status, 200)
        assert.strictEqual((yield* ask("POST", "/api/nothing")).status, 404)
      })
    )
  }
)
