import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Layer, LogLevel, TestClock } from "effect"
import { AppConfig } from "../../src/AppConfig.ts"
import { keepRunning } from "../../src/KeepRunning.ts"
import { LoggingLive } from "../../src/observe/Logging.ts"
import { closedPort } from "../support/Endpoint.ts"
import { aNewOrder, post, type ServiceProcess, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

/** What is printed meanwhile, in that format. */
const printed = (logFormat: "json" | "logfmt", log: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const console = yield* Effect.console
    yield* Effect.provide(
      log,
      Layer.provide(LoggingLive, AppConfig.layerTest({ logFormat, logLevel: LogLevel.Info }))
    ).pipe(
      Effect.withConsole({
        ...console,
        unsafe: { ...console.unsafe, log: (line: string) => void lines.push(line) }
      })
    )
    return lines
  })

class Refused extends Error {}

describe("the log", () => {
  it.effect("is one line of JSON each, with what it is about, the span, and why something failed", () =>
    Effect.gen(function* () {
      const [info, failure, defect, ...others] = (yield* printed(
        "json",
        Effect.gen(function* () {
          yield* Effect.log("one", { two: 2 }, "three\nfour").pipe(
            Effect.annotateLogs({ order_id: "a", run: 1 }),
            Effect.withSpan("span")
          )
          yield* Effect.sandbox(Effect.fail(new Refused("no"))).pipe(
            Effect.catchAll((cause) => Effect.logError("failed", cause))
          )
          yield* Effect.sandbox(Effect.die(new Error("oh"))).pipe(
            Effect.catchAll((cause) => Effect.logError("broke", cause))
          )
          yield* Effect.logDebug("not shown")
        })
      )).map((line) => JSON.parse(line))
      assert.deepStrictEqual(others, [])
      const { span_id, trace_id, ...rest } = info
      assert.match(trace_id, /^[0-9a-f]{32}$/)
      assert.match(span_id, /^[0-9a-f]{16}$/)
      assert.deepStrictEqual(rest, {
        time: "1970-01-01T00:00:00.000Z",
        level: "INFO",
        message: 'one {"two":2} three\nfour',
        order_id: "a",
        run: 1
      })
      assert.strictEqual(failure.error, "no")
      assert.match(defect.error, /^Error: oh\n\s+at /)
    })
  )

  it.effect("has the same fields in logfmt", () =>
    Effect.gen(function* () {
      const lines = yield* printed(
        "logfmt",
        Effect.annotateLogs(Effect.logWarning("two words\nand a line"), { order_id: "a", note: "", ms: 3 })
      )
      assert.strictEqual(lines.length, 1)
      const [line = ""] = lines
      assert.match(line, /^time=1970-01-01T00:00:00.000Z level=WARN message="two words\\nand a line" /)
      for (const field of ["order_id=a", 'note=""', "ms=3"]) assert.include(line.split(" "), field)
    })
  )

  it.effect("of a loop that keeps ending is a line a minute", () =>
    Effect.gen(function* () {
      const lines = yield* printed(
        "json",
        Effect.scoped(
          Effect.zipRight(keepRunning("loop", Effect.die("no")), Effect.repeatN(TestClock.adjust("100 millis"), 650))
        )
      )
      const [first, second, ...others] = lines.map((line): Record<string, unknown> => JSON.parse(line))
      assert.deepStrictEqual(others, [])
      assert.deepInclude(first, { level: "ERROR", message: "The loop ended and is started again" })
      assert.isUndefined(first?.left_out)
      assert.isAbove(Number(second?.left_out), 100)
    })
  )

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

  it.scopedLive("of the service tells by which order the breaker opened", () =>
    Effect.gen(function* () {
      const service = yield* startService(yield* temporaryFolder, {
        PROCESSOR: "webhook",
        WEBHOOK_URL: `http://127.0.0.1:${yield* closedPort}/`,
        WEBHOOK_SECRET: `whsec_${Buffer.alloc(24).toString("base64")}`
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
