import * as Http from "node:http"
import { text } from "node:stream/consumers"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { cli, startCli } from "../support/CliProcess.ts"
import { startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

const totalOf = async (url: string) => {
  const answer = await fetch(`${url}/api/metrics`)
  const metrics: { total_orders: number } = JSON.parse(await answer.text())
  return metrics.total_orders
}

/** How often the service has listed orders. */
const listingsOf = async (url: string) => {
  const labels = 'http_request_method="GET",http_response_status_code="200",http_route="/api/orders"'
  const [, rest] = (await (await fetch(`${url}/metrics`)).text()).split(`request_duration_seconds_count{${labels}} `)
  return Number.parseInt(rest ?? "0", 10)
}

interface FakeOrder {
  readonly order_id: string
  readonly user_id: string
  readonly item_ids: ReadonlyArray<number>
}

const isFifth = (index: number) => index % 20 === 4

/** How a service might break its word about the fifth order of a run of twenty. */
const lies = {
  forgets: (orders: ReadonlyArray<FakeOrder>) => orders.filter((_, index) => !isFifth(index)),
  doubles: (orders: ReadonlyArray<FakeOrder>) =>
    orders.flatMap((order, index) => (isFifth(index) ? [order, order] : [order])),
  alters: (orders: ReadonlyArray<FakeOrder>) =>
    orders.map((order, index) => (isFifth(index) ? { ...order, item_ids: [...order.item_ids, 1] } : order)),
  nothing: (orders: ReadonlyArray<FakeOrder>) => orders
}

/** A service that acknowledges every order, and afterwards shows what the lie makes of them. */
const liar = (lie: keyof typeof lies) =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: Http.Server; readonly url: string }>((resume) => {
      const orders: Array<FakeOrder> = []
      const at = new Date().toISOString()
      const asAnswered = (order: FakeOrder) => ({
        ...{ currency: null, metadata: null, next_attempt_at: null, last_error: null, result: null },
        ...order,
        ...{ status: "Completed", attempts: 1, accepted_at: at, started_at: at, finished_at: at }
      })
      const metrics = () => {
        const none = { p50: 0, p95: 0, p99: 0 }
        return {
          ...{ total_orders: orders.length, orders_pending: 0, orders_processing: 0, orders_failed: 0 },
          ...{ orders_completed: orders.length, orders_cancelled: 0, total_processed: orders.length },
          ...{ average_processing_time: 0, processing_time: none, queue_wait: none, queue_depth: 0, queue_capacity: 1 },
          ...{ workers: 1, workers_busy: 0, accepted_per_second: 0, completed_per_second: 0 },
          ...{ failed_per_second: 0, orders_pending_limit: 1, orders_refused_last_minute: 0, oldest_due_seconds: 0 },
          last_finished: { finished: 0, failed: 0 },
          processor: "custom",
          breaker: {
            state: "closed",
            failures_in_a_row: 0,
            last_error_code: null,
            opened_at: null,
            next_probe_at: null
          }
        }
      }
      const server = Http.createServer(async (request, response) => {
        const { pathname, searchParams } = new URL(request.url ?? "/", "http://fake")
        const answer = (status: number, body: unknown) =>
          response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
        if (pathname === "/api/metrics") return answer(200, metrics())
        if (pathname === "/api/events") return response.writeHead(200).write(": here\n\n")
        if (pathname === "/api/order") {
          const order: FakeOrder = JSON.parse(await text(request))
          orders.push(order)
          return answer(202, { message: "Order received", order_id: order.order_id })
        }
        if (pathname === "/api/orders") {
          const shown = lies[lie](orders).filter((order) => order.user_id === searchParams.get("user_id"))
          return answer(200, { orders: shown.map(asAnswered) })
        }
        const type = "urn:orders:problem:order-not-found"
        return answer(404, { type, title: "Order not found", status: 404, detail: "Order not found" })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(
          Effect.succeed({
            server,
            url: `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`
          })
        )
      })
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )

// Timeouts are for a machine that does other things too.
describe("orders simulate", { timeout: 300_000 }, () => {
  it.scopedLive("600 shoppers at once, each by a connection of its own", () =>
    Effect.gen(function* () {
      const { url } = yield* Effect.flatMap(temporaryFolder, (folder) =>
        startService(folder, { PROCESSING_TIME: "100 millis" })
      )
      const answer = yield* cli(["simulate", "--orders", "600", "--concurrency", "600", "--seed", "7", "--json"], {
        url
      })
      assert.strictEqual(answer.code, 0, answer.stdout + answer.stderr)
      assert.strictEqual(answer.stderr, "")
      const summary = JSON.parse(answer.stdout)
      assert.deepStrictEqual(summary.check, { ok: true, faults: [] })
      assert.strictEqual(summary.accepted + summary.replayed, 600)
      assert.deepStrictEqual([summary.refused, summary.unanswered], [{}, 0])
      assert.deepStrictEqual(summary.statuses, { Pending: 0, Processing: 0, Completed: 600, Failed: 0, Cancelled: 0 })
      const { max, p50, p95, p99 } = summary.acceptance_ms
      assert.isTrue(0 < p50 && p50 <= p95 && p95 <= p99 && p99 <= max, JSON.stringify(summary.acceptance_ms))
      assert.isAbove(summary.seconds_to_last_completed, 0)
      assert.strictEqual(yield* Effect.promise(() => totalOf(url)), 600)

      const again = yield* cli(["simulate", "--orders", "20", "--concurrency", "5"], { url })
      assert.strictEqual(again.code, 0, again.stderr)
      assert.match(again.stderr, /20 of 20 answered/)
      assert.match(again.stdout, /statuses +20 Completed\ncheck +ok: every acknowledged order is there/)
    })
  )

  // As many as fit wait and the others are told to come again, so the kill is in the middle whatever the machine's pace.
  it.scopedLive("ends with the truth when the service is killed in the middle and started again", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const first = yield* startService(folder, { PROCESSING_TIME: "1 minute", MAX_PENDING: "90", WORKERS: "15" })
      const { url } = first
      const args = ["simulate", "--orders", "300", "--concurrency", "300", "--json"]
      const simulation = yield* startCli(args, { url })
      yield* until(async () => (await totalOf(url)) >= 105)
      first.child.kill("SIGKILL")
      yield* first.exited
      yield* startService(folder, { PORT: new URL(url).port, PROCESSING_TIME: "50 millis" })
      const answer = yield* simulation.ended
      assert.strictEqual(answer.code, 0, answer.stdout + answer.stderr)
      const summary = JSON.parse(answer.stdout)
      assert.deepStrictEqual(summary.check, { ok: true, faults: [] })
      assert.strictEqual(summary.accepted + summary.replayed, 300)
      assert.strictEqual(summary.statuses.Completed, 300)
      assert.isAtLeast(summary.connections_lost, 1)
      assert.isAbove(summary.repeated_submissions, 0)
      assert.strictEqual(yield* Effect.promise(() => totalOf(url)), 300)
    })
  )

  it.scopedLive("gives up after its patience: what was refused is not there", () =>
    Effect.gen(function* () {
      const { url } = yield* Effect.flatMap(temporaryFolder, (folder) =>
        startService(folder, { PROCESSING_TIME: "25 seconds", PROCESSING_JITTER: "0", MAX_PENDING: "5", WORKERS: "1" })
      )
      const args = ["simulate", "--orders", "20", "--concurrency", "20", "--patience", "1 second", "--json"]
      const simulation = yield* startCli(args, { url })
      const answer = yield* simulation.ended
      const summary = JSON.parse(answer.stdout)
      assert.isAtLeast(summary.refused.BacklogFull, 1, answer.stdout)
      // With no patience left, orders that wait for the one worker are not final.
      assert.strictEqual(answer.code, 1)
      assert.isTrue(
        summary.check.faults.every(({ fault }: { fault: string }) => fault === "not final"),
        answer.stdout
      )
    })
  )

  it.scopedLive("says what it knows when the service goes away for good", () =>
    Effect.gen(function* () {
      const service = yield* Effect.flatMap(temporaryFolder, (folder) =>
        startService(folder, { PROCESSING_TIME: "1 minute" })
      )
      const args = ["simulate", "--orders", "30", "--patience", "2 seconds", "--json"]
      const simulation = yield* startCli(args, { url: service.url })
      yield* until(async () => (await totalOf(service.url)) === 30)
      service.child.kill("SIGKILL")
      const { code, stderr, stdout } = yield* simulation.ended
      assert.strictEqual(code, 1)
      assert.match(JSON.parse(stderr).detail, /^No order service answers at/)
      const summary = JSON.parse(stdout)
      assert.deepStrictEqual([summary.orders, summary.interrupted, summary.check], [30, false, null])
    })
  )

  it.scopedLive("Ctrl-C prints what was done so far and exits with 130", () =>
    Effect.gen(function* () {
      const { url } = yield* Effect.flatMap(temporaryFolder, (folder) =>
        startService(folder, { PROCESSING_TIME: "1 hour", ATTEMPT_TIMEOUT: "2 hours", WORKERS: "2" })
      )
      const simulation = yield* startCli(["simulate", "--orders", "30", "--users", "1", "--json"], { url })
      yield* until(async () => {
        const metrics = await (await fetch(`${url}/api/metrics`)).text()
        return metrics.includes('"orders_pending":28,"orders_processing":2')
      })
      // In a silence it looks at the orders. Where it does so again, it has seen them all as they are now.
      const before = yield* Effect.promise(() => listingsOf(url))
      yield* until(async () => (await listingsOf(url)) >= before + 2)
      simulation.child.kill("SIGINT")
      const { code, stdout } = yield* simulation.ended
      assert.strictEqual(code, 130)
      const summary = JSON.parse(stdout)
      assert.deepStrictEqual([summary.orders, summary.interrupted, summary.check], [30, true, null])
      assert.deepStrictEqual(summary.statuses, { Pending: 28, Processing: 2, Completed: 0, Failed: 0, Cancelled: 0 })
    })
  )

  it.scopedLive("says of an interrupted run what events told of it, and no more", () =>
    Effect.gen(function* () {
      // About half of the orders end at once, the others not before hours have passed.
      const settings = {
        PROCESSING_TIME: "0 millis",
        PROCESSING_FAILURES: "0.5",
        RETRY_BASE: "1 day",
        RETRY_MAX: "1 day"
      }
      const { url } = yield* Effect.flatMap(temporaryFolder, (folder) => startService(folder, settings))
      const simulation = yield* startCli(["simulate", "--orders", "50", "--concurrency", "50"], { url })
      yield* until(() => /[1-9]\d* final/.test(simulation.output.stderr))
      simulation.child.kill("SIGINT")
      const { code, stdout } = yield* simulation.ended
      assert.strictEqual(code, 130)
      assert.match(stdout, /^last Completed +not looked up\nstatuses .*[1-9]\d* Completed, by the last events\n/m)
    })
  )

  for (const [lie, fault] of [
    ["forgets", "missing"],
    ["doubles", "doubled"],
    ["alters", "altered"]
  ] as const) {
    it.scopedLive(`finds out a service that ${lie} an order`, () =>
      Effect.gen(function* () {
        const { url } = yield* liar(lie)
        const answer = yield* cli(["simulate", "--orders", "20", "--users", "3", "--json"], { url })
        assert.strictEqual(answer.code, 1, answer.stdout + answer.stderr)
        const { check } = JSON.parse(answer.stdout)
        assert.strictEqual(check.ok, false)
        assert.deepStrictEqual(
          check.faults.map((found: { fault: string }) => found.fault),
          [fault]
        )
        const shown = yield* cli(["simulate", "--orders", "20"], { url })
        assert.match(shown.stdout, new RegExp(`check +FAILED: 1 fault\n.*\n${fault} `))
      })
    )
  }

  it.scopedLive("finds nothing where there is nothing", () =>
    Effect.gen(function* () {
      const { url } = yield* liar("nothing")
      const answer = yield* cli(["simulate", "--orders", "20"], { url })
      assert.strictEqual(answer.code, 0, answer.stdout + answer.stderr)
    })
  )
})
