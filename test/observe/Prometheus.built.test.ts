import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Metric, MetricBoundaries } from "effect"
import { render } from "../../src/observe/Prometheus.ts"
import { hasPromtool, promtool, unlessPromtool } from "../support/Promtool.ts"
import { aNewOrder, post, type ServiceProcess, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

const pairsOf = (...names: ReadonlyArray<string>) =>
  Metric.unsafeSnapshot().filter(({ metricKey }) => names.includes(metricKey.name))

const get = (url: string) => Effect.promise(() => fetch(url))
const textOf = (url: string) => Effect.flatMap(get(url), (response) => Effect.promise(() => response.text()))

const scrape = ({ url }: ServiceProcess) => textOf(`${url}/metrics`)

/** The samples, by name and labels as they stand there. */
const samplesOf = (text: string) =>
  new Map(
    text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))])
  )

const countsOf = (service: ServiceProcess) =>
  Effect.map(textOf(`${service.url}/api/metrics`), (text): Record<string, number> => JSON.parse(text))

const allFinal = (service: ServiceProcess) =>
  countsOf(service).pipe(
    Effect.delay("20 millis"),
    Effect.repeat({ until: (now) => now.orders_pending === 0 && now.orders_processing === 0 }),
    Effect.timeout("100 seconds")
  )

const countsAgree = Effect.fn(function* (service: ServiceProcess) {
  const counts = yield* countsOf(service)
  const samples = samplesOf(yield* scrape(service))
  for (const status of ["Pending", "Processing", "Completed", "Failed", "Cancelled"]) {
    assert.strictEqual(
      samples.get(`orders_by_status{status="${status}"}`),
      counts[`orders_${status.toLowerCase()}`],
      status
    )
  }
  return { counts, samples }
})

const stop = ({ child, exited }: ServiceProcess) =>
  Effect.zipRight(
    Effect.sync(() => child.kill("SIGTERM")),
    exited
  )

describe("the text format", () => {
  it("has each metric once, with its help and type, cumulative buckets, and what is in labels escaped", () => {
    const odd = Metric.counter("b_total", { description: 'Back\\slash, "quotes"\nand lines', incremental: true })
    Metric.tagged(odd, "what", 'a\\b"c\nd').unsafeUpdate(2, [])
    Metric.tagged(odd, "what", "plain").unsafeUpdate(3, [])
    Metric.gauge("c").unsafeUpdate(-0.5, [])
    const timer = Metric.histogram("a_seconds", MetricBoundaries.fromIterable([0.1, 1]), "How long")
    for (const seconds of [0.1, 0.5, 0.5, 7]) timer.unsafeUpdate(seconds, [])
    assert.strictEqual(
      render(pairsOf("a_seconds", "b_total", "c")),
      [
        "# HELP a_seconds How long",
        "# TYPE a_seconds histogram",
        'a_seconds_bucket{le="0.1"} 1',
        'a_seconds_bucket{le="1"} 3',
        'a_seconds_bucket{le="+Inf"} 4',
        "a_seconds_sum 8.1",
        "a_seconds_count 4",
        '# HELP b_total Back\\\\slash, "quotes"\\nand lines',
        "# TYPE b_total counter",
        'b_total{what="a\\\\b\\"c\\nd"} 2',
        'b_total{what="plain"} 3',
        "# TYPE c gauge",
        "c -0.5",
        ""
      ].join("\n")
    )
  })
})

describe("GET /metrics", () => {
  const settings = { PROCESSING_TIME: "5 millis", PROCESSING_FAILURES: "0.5", MAX_ATTEMPTS: "1" }

  it.scopedLive("counts orders as /api/metrics does, also after a restart; no text from outside is in it", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const first = yield* startService(folder, settings)
      for (const id of Arr.range(1, 20)) yield* Effect.promise(() => post(first.url, aNewOrder(id)))
      yield* Effect.promise(() => post(first.url, aNewOrder(1)))
      yield* Effect.promise(() => post(first.url, { order_id: "outside" }))
      yield* Effect.promise(() => fetch(`${first.url}/outside/1`, { method: "PROPFIND" }))
      yield* get(`${first.url}/api/order/outside`)
      yield* allFinal(first)

      const response = yield* get(`${first.url}/metrics`)
      assert.strictEqual(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
      const { counts, samples } = yield* countsAgree(first)
      assert.strictEqual(counts.total_orders, 20)
      const [completed, failed] = ["Completed", "Failed"].map((status) => `orders_finished_total{status="${status}"}`)
      assert.strictEqual((samples.get(completed ?? "") ?? 0) + (samples.get(failed ?? "") ?? 0), 20)
      assert.isAbove(samples.get(failed ?? "") ?? 0, 0)
      assert.strictEqual(samples.get("orders_accepted_total"), 20)
      assert.strictEqual(samples.get("orders_replayed_total"), 1)
      assert.strictEqual(samples.get('orders_refused_total{reason="InvalidRequest"}'), 1)
      assert.strictEqual(samples.get("orders_ready"), 1)

      const http = (method: string, status: number, route: string) =>
        samples.get(
          `http_server_request_duration_seconds_count{http_request_method="${method}",http_response_status_code="${status}"${route}}`
        )
      assert.strictEqual(http("POST", 202, ',http_route="/api/order"'), 20)
      assert.strictEqual(http("GET", 404, ',http_route="/api/order/:order_id"'), 1)
      assert.strictEqual(http("_OTHER", 404, ""), 1)
      const text = yield* scrape(first)
      for (const word of ["outside", "PROPFIND", "simulated"]) assert.notInclude(text, word)

      yield* stop(first)
      const second = yield* startService(folder, settings)
      assert.deepStrictEqual((yield* countsAgree(second)).counts.total_orders, 20)
      // What is counted by the process begins anew, and is there from the first moment.
      assert.strictEqual(samplesOf(yield* scrape(second)).get("orders_accepted_total"), 0)
    })
  )

  it.scopedLive("measures requests in OpenTelemetry's buckets, and orders from a millisecond to ten minutes", () =>
    Effect.gen(function* () {
      const service = yield* startService(yield* temporaryFolder, settings)
      yield* Effect.promise(() => post(service.url, aNewOrder(1)))
      yield* allFinal(service)
      const keys = Array.from(samplesOf(yield* scrape(service)).keys())
      const buckets = (start: string) =>
        keys.filter((key) => key.startsWith(start)).map((key) => /le="([^"]*)"/.exec(key)?.[1])
      const ofPosts =
        'http_server_request_duration_seconds_bucket{http_request_method="POST",http_response_status_code="202"'
      assert.deepStrictEqual(
        buckets(ofPosts),
        "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 +Inf".split(" ")
      )
      for (const name of ["orders_queue_wait_seconds", "orders_processing_seconds"]) {
        const [first, ...others] = buckets(`${name}_bucket`)
        assert.deepStrictEqual([first, ...others.slice(-2)], ["0.001", "600", "+Inf"])
      }
      for (const name of [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
        "nodejs_eventloop_lag_p99_seconds",
        "nodejs_heap_size_used_bytes"
      ]) {
        assert.include(keys, name)
      }
    })
  )

  it.scopedLive.skipIf(!hasPromtool)(`promtool check metrics finds nothing${unlessPromtool}`, () =>
    Effect.gen(function* () {
      const service = yield* startService(yield* temporaryFolder, settings)
      for (const id of Arr.range(1, 10)) yield* Effect.promise(() => post(service.url, aNewOrder(id)))
      yield* allFinal(service)
      assert.strictEqual(promtool(["check", "metrics"], yield* scrape(service)), "")
    })
  )
})
