import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import { closedPort } from "../support/Endpoint.ts"
import { aNewOrder, post, type ServiceProcess, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

describe("the log", () => {
  const work = Effect.fn(function* (service: ServiceProcess) {
    yield* Effect.promise(() =>
      fetch(`${service.url}/api/order?key=in-the-query`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "x-request-id": "request-1",
          authorization: "Bearer in-a-header"
        },
        body: JSON.stringify({ ...aNewOrder(1), metadata: { note: "in the payload" } })
      })
    )
    yield* Effect.promise(() => post(service.url, aNewOrder(2)))
    yield* Effect.repeat(Effect.sleep("20 millis"), {
      until: () => service.output.stdout.split("Order failed").length > 2
    }).pipe(Effect.timeout("100 seconds"))
  })

  it.scopedLive("of the service tells the order and the request, and neither headers nor payloads", () =>
    Effect.gen(function* () {
      const settings = { PROCESSING_TIME: "5 millis", PROCESSING_FAILURES: "1", MAX_ATTEMPTS: "1", LOG_LEVEL: "Debug" }
      const service = yield* startService(yield* temporaryFolder, settings)
      yield* work(service)
      const lines = service.output.stdout.trimEnd().split("\n")
      const entries = lines.map((line): Record<string, unknown> => JSON.parse(line))
      const failed = entries.find(({ message }) => message === "Order failed")
      assert.deepInclude(failed, { level: "INFO", error_code: "simulated", order_id: "1", run: 1, attempt: 1 })
      const answered = entries.find(({ request_id }) => request_id === "request-1")
      assert.deepInclude(answered, {
        level: "DEBUG",
        message: "Request answered",
        method: "POST",
        route: "/api/order",
        status: 202
      })
      for (const hidden of ["in-the-query", "in-a-header", "in the payload"]) {
        assert.notInclude(service.output.stdout, hidden)
      }
      assert.isFalse(entries.some(({ trace_id }) => trace_id === "noop"))
    })
  )

  it.scopedLive("of the service has no line for a request at the usual level", () =>
    Effect.gen(function* () {
      const settings = { PROCESSING_TIME: "5 millis", PROCESSING_FAILURES: "1", MAX_ATTEMPTS: "1" }
      const service = yield* startService(yield* temporaryFolder, settings)
      yield* work(service)
      assert.notInclude(service.output.stdout, "Request answered")
    })
  )

  it.scopedLive("of the service says by which order the breaker opened", () =>
    Effect.gen(function* () {
      const service = yield* startService(yield* temporaryFolder, {
        PROCESSOR: "webhook",
        WEBHOOK_URL: `http://127.0.0.1:${yield* closedPort}/`,
        WEBHOOK_SECRET: `whsec_${Buffer.alloc(24).toString("base64")}`,
        // No order comes a second time before the twelfth has come once, however slowly they are posted.
        RETRY_BASE: "1 day",
        RETRY_MAX: "7 days"
      })
      const ids = Arr.range(1, 12)
      for (const id of ids) yield* Effect.promise(() => post(service.url, aNewOrder(id)))
      yield* Effect.repeat(Effect.sleep("20 millis"), {
        until: () => service.output.stdout.includes("the breaker is open")
      }).pipe(Effect.timeout("100 seconds"))
      const lines = service.output.stdout.trimEnd().split("\n")
      const entries = lines.map((line): Record<string, unknown> => JSON.parse(line))
      const opened = entries.find(({ message }) => String(message).includes("the breaker is open"))
      assert.deepInclude(opened, { level: "WARN", run: 1, attempt: 1 })
      assert.include(ids.map(String), opened?.order_id)
    })
  )
})
