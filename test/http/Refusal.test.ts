import type * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schema } from "effect"
import { NodeServer } from "../../src/http/NodeServer.ts"
import { StorageUnavailable } from "../../src/order/Order.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { baseUrl, memoryRepo, processor, service } from "../support/TestLayers.ts"

const Waiting = Schema.parseJson(Schema.Struct({ type: Schema.String, retry_after: Schema.Int }))

/** The type of a 503, which says in its header how long to wait, as its body does. */
const waitsAs = (answer: { readonly status: number; readonly headers: Headers; readonly text: string }, name: string) =>
  Effect.gen(function* () {
    assert.strictEqual(answer.status, 503, name)
    const { retry_after, type } = yield* Schema.decodeUnknown(Waiting)(answer.text)
    assert.strictEqual(answer.headers.get("retry-after"), String(retry_after), name)
    return type
  })

const request = (url: string, method = "GET", body?: object) =>
  Effect.promise(async () => {
    const json = { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
    const response = await fetch(url, { method, ...(body === undefined ? {} : json) })
    return { status: response.status, headers: response.headers, text: await response.text() }
  })

/** Listens on a free port, until the scope ends. */
const listening = (server: Http.Server) =>
  Effect.acquireRelease(
    Effect.async<string>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const at = server.address()
        assert.isTrue(typeof at === "object" && at !== null)
        resume(Effect.succeed(`http://127.0.0.1:${typeof at === "object" ? at?.port : ""}`))
      })
    }),
    () => Effect.sync(() => server.close())
  )

/** A storage that fails, but not before the service has started. */
const failing = Effect.gen(function* () {
  const broken = yield* Deferred.make<void>()
  const guarded = <A>(answer: Effect.Effect<A, StorageUnavailable>) =>
    Effect.flatMap(Deferred.isDone(broken), (isBroken) => (isBroken ? Effect.fail(new StorageUnavailable({})) : answer))
  const repo = Layer.effect(
    OrdersRepo,
    Effect.map(OrdersRepo, (repo) =>
      OrdersRepo.of({
        ...repo,
        write: (commands) => guarded(repo.write(commands)),
        find: (id) => guarded(repo.find(id)),
        list: (...args) => guarded(repo.list(...args)),
        reopenable: (...args) => guarded(repo.reopenable(...args)),
        failures: guarded(repo.failures)
      })
    )
  ).pipe(Layer.provide(memoryRepo))
  return { repo, fail: Deferred.succeed(broken, undefined) }
})

describe("a 503", () => {
  it.live("has a Retry-After on every route that can answer one", () =>
    Effect.gen(function* () {
      const { fail, repo } = yield* failing
      const order = { order_id: 1, user_id: 1, item_ids: [1], total_amount: 1 }
      yield* Effect.gen(function* () {
        const url = yield* baseUrl
        yield* fail
        for (const [method, path, body] of [
          ["POST", "/api/order", order],
          ["POST", "/api/orders", [order]],
          ["POST", "/api/orders/retry", {}],
          ["POST", "/api/order/1/cancel"],
          ["POST", "/api/order/1/retry"],
          ["GET", "/api/order/1"],
          ["GET", "/api/orders"],
          ["GET", "/api/failures"]
        ] as const) {
          const answer = yield* request(`${url}${path}`, method, body)
          assert.strictEqual(yield* waitsAs(answer, path), "urn:orders:problem:storage-unavailable", path)
        }
        const held = yield* request(`${url}/readyz`)
        assert.strictEqual(yield* waitsAs(held, "/readyz"), "urn:orders:problem:not-ready")
      }).pipe(Effect.provide(service({ repo, processor: processor(() => Effect.never) })))
    })
  )

  it.scopedLive("has one before the application takes requests", () =>
    Effect.gen(function* () {
      const { server } = yield* NodeServer
      const url = yield* listening(server)
      const answer = yield* request(`${url}/api/orders`)
      assert.strictEqual(yield* waitsAs(answer, "starting"), "urn:orders:problem:starting")
      assert.strictEqual(answer.headers.get("retry-after"), "1")
      assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
      assert.strictEqual(answer.headers.get("connection"), "close")
    }).pipe(Effect.provide(NodeServer.layer))
  )
})
