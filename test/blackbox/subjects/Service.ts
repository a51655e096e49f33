import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { at } from "../Caller.ts"
import { expectStatus, hasSeries, held, hold, order, quick, type Settings, type Subject } from "../Subject.ts"

export const metrics: Subject = {
  title: "the metrics",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { get, getUntil, post } = caller
      yield* get("/api/metrics")
      yield* hold(caller)
      yield* post("/api/orders", [order(1), order(2), order(3), order(3), order(1, { user_id: 2 }), order(0)])
      yield* post("/api/order", order(4))
      yield* getUntil("/api/metrics", (answer) => at(answer, "queue_depth") === 4 && at(answer, "workers_busy") === 2)
      yield* post("/api/order/2/cancel")
      const answer = yield* get("/api/metrics")
      for (const [name, count] of Object.entries({
        total_orders: 6,
        orders_pending: 3,
        orders_processing: 2,
        orders_completed: 0,
        orders_failed: 0,
        orders_cancelled: 1,
        total_processed: 0
      })) {
        assert.strictEqual(at(answer, name), count, name)
      }
      assert.include((yield* get("/metrics")).text, '\norders_by_status{status="Cancelled"} 1\n')
    })
}

export const metricsOfCompleted: Subject = {
  title: "the metrics of orders that are completed, and after a restart",
  settings: quick,
  run: ({ get, getUntil, post }) =>
    Effect.gen(function* () {
      for (const id of [1, 2, 3]) {
        yield* post("/api/order", order(id))
        yield* get(`/api/order/${id}?wait=30`)
      }
      const answer = yield* get("/api/metrics")
      assert.deepStrictEqual([at(answer, "total_processed"), at(answer, "orders_completed")], [3, 3])
      assert.isAbove(Number(at(answer, "average_processing_time")), 0.004)
      yield* getUntil("/metrics", hasSeries('orders_attempts_total{outcome="completed"} 3'))
    }),
  restarted: {
    settings: quick,
    run: ({ get, getUntil, post }) =>
      Effect.gen(function* () {
        const answer = yield* get("/api/metrics")
        assert.deepStrictEqual([at(answer, "total_processed"), at(answer, "orders_completed")], [3, 3])
        assert.isAbove(Number(at(answer, "average_processing_time")), 0.004)
        yield* post("/api/order", order(4))
        yield* get("/api/order/4?wait=30")
        yield* get("/api/changes")
        assert.strictEqual(at(yield* get("/api/metrics"), "total_orders"), 4)
        yield* getUntil("/metrics", hasSeries('orders_attempts_total{outcome="completed"} 1'))
      })
  }
}

export const unfinished: Subject = {
  title: "orders that were not finished at a restart",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { get, post } = caller
      yield* hold(caller)
      yield* post("/api/order", order(1, { metadata: { a: "\u0000\ud800" } }))
      yield* post("/api/order", order(2))
      yield* post("/api/order/2/cancel")
      yield* get("/api/orders")
    }),
  restarted: {
    settings: held,
    run: ({ get, getUntil, post }) =>
      Effect.gen(function* () {
        for (const id of ["hold-1", "hold-2"]) {
          yield* getUntil(`/api/order/${id}`, (answer) => at(answer, "status") === "Processing")
        }
        yield* get("/api/order/1")
        yield* get("/api/order/2")
        assert.strictEqual(at(yield* post("/api/order", order(2)), "status"), "Cancelled")
        const answer = yield* get("/api/metrics")
        assert.deepStrictEqual(
          [at(answer, "orders_processing"), at(answer, "orders_pending"), at(answer, "total_orders")],
          [2, 1, 4]
        )
      })
  }
}

/** Nothing is kept of the changes and the time, so that the time that was known last is that of the last order. */
const keeping: Settings = { ...quick, environment: { ...quick.environment, HISTORY: "off" } }

export const gone: Subject = {
  title: "orders past their retention",
  settings: keeping,
  run: ({ get, post }) =>
    Effect.gen(function* () {
      yield* post("/api/order", order("old", { metadata: { a: "\u0000" } }))
      yield* get("/api/order/old?wait=30")
      yield* Effect.sleep("2 seconds")
      yield* post("/api/order", order("new"))
      yield* get("/api/order/new?wait=30")
    }),
  restarted: {
    settings: { ...keeping, environment: { ...keeping.environment, RETENTION: "1 second" } },
    run: ({ get, getUntil, post }) =>
      Effect.gen(function* () {
        yield* getUntil("/api/order/old", ({ status }) => status === 410)
        expectStatus(410)(yield* get("/api/order/old/history"))
        for (const what of ["cancel", "retry"]) expectStatus(410)(yield* post(`/api/order/old/${what}`))
        const again = yield* post("/api/order", order("old", { metadata: { a: "\u0000" } }))
        assert.strictEqual(at(again, "status"), "Completed")
        expectStatus(409)(yield* post("/api/order", order("old", { metadata: { a: "\\u0000" } })))
        yield* post("/api/orders", [order("old"), order("old", { metadata: { a: "\u0000" } }), order("Old")])
        yield* get("/api/order/Old?wait=30")
        yield* get("/api/orders")
        assert.strictEqual(at(yield* get("/api/metrics"), "total_orders"), 3)
      })
  }
}

export const pages: Subject = {
  title: "health and documents",
  settings: held,
  run: ({ get, send }) =>
    Effect.gen(function* () {
      for (const path of ["/health", "/livez", "/readyz", "/readyz?verbose", "/readyz?verbose=false", "/api/key"]) {
        expectStatus(200)(yield* get(path))
      }
      const document = yield* get("/openapi.json")
      assert.strictEqual(at(document, "openapi"), "3.1.0")
      expectStatus(200)(yield* get("/docs"))
      const page = yield* get("/")
      expectStatus(200)(page)
      expectStatus(304)(yield* send({ path: "/", headers: { "if-none-match": page.headers.etag } }))
      expectStatus(200)(yield* send({ path: "/", headers: { "if-none-match": '"other"' } }))
      for (const path of ["/health", "/openapi.json", "/api/orders", "/api/events", "/nothing"]) {
        assert.strictEqual((yield* send({ method: "HEAD", path })).text, "")
      }
      for (const id of ["req-1.2:3_4", "x".repeat(128)]) {
        const { headers } = yield* send({ path: "/health", headers: { "x-request-id": id } })
        assert.strictEqual(headers["x-request-id"], id)
      }
    })
}
