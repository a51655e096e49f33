import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { MetricsJson } from "../../src/dashboard/ApiJson.ts"
import { alarmsOf, type Known } from "../../src/dashboard/Health.ts"
import { plainText } from "../../src/dashboard/Text.ts"
import { inBrowser } from "../support/Browser.ts"
import {
  browsing,
  failing,
  fast,
  metricsOf,
  orders,
  row,
  slow,
  submitMany,
  withPage
} from "../support/DashboardPage.ts"
import { aNewOrder, post } from "../support/ServiceProcess.ts"
import { calmMetrics } from "./CalmMetrics.ts"

const open = { ...calmMetrics.breaker, state: "open", failures_in_a_row: 10, last_error_code: "http_500" } as const

const told = (metrics: Partial<MetricsJson>, rest: Partial<Known> = {}) =>
  alarmsOf({ connection: { kind: "live" }, reason: undefined, ...rest, metrics: { ...calmMetrics, ...metrics } })
const kinds = (...args: Parameters<typeof told>) => told(...args).map(({ kind }) => kind)

describe("the rule of the banner", () => {
  it("is calm while what is usual happens", () => {
    assert.deepStrictEqual(kinds({}), [])
    assert.deepStrictEqual(kinds({ orders_pending: 49 }), [])
    assert.deepStrictEqual(kinds({ last_finished: { finished: 0, failed: 0 } }), [])
    assert.deepStrictEqual(kinds({ last_finished: { finished: 4, failed: 4 } }), [])
    assert.deepStrictEqual(kinds({ last_finished: { finished: 100, failed: 19 } }), [])
    assert.deepStrictEqual(kinds({ oldest_due_seconds: 3600 }), [])
    assert.deepStrictEqual(kinds({ completed_per_second: 0, oldest_due_seconds: 100 }), [])
    assert.deepStrictEqual(kinds({}, { connection: { kind: "polling", why: "silent" } }), [])
    assert.deepStrictEqual(alarmsOf({ connection: undefined, metrics: undefined, reason: undefined }), [])
  })

  it("says what is wrong, the worst first, each once", () => {
    assert.deepStrictEqual(kinds({ orders_pending: 50 }), ["Refusing"])
    assert.deepStrictEqual(kinds({ orders_pending: 51 }), ["Refusing"])
    assert.deepStrictEqual(kinds({ orders_refused_last_minute: 1 }), ["Refusing"])
    assert.deepStrictEqual(kinds({}, { reason: "Not ready: orders cannot be written." }), ["Refusing"])
    assert.deepStrictEqual(kinds({ last_finished: { finished: 5, failed: 5 } }), ["Failing"])
    assert.deepStrictEqual(kinds({ last_finished: { finished: 100, failed: 20 } }), ["Failing"])
    assert.deepStrictEqual(kinds({ breaker: open }), ["Blocked"])
    assert.deepStrictEqual(kinds({ breaker: { ...open, state: "half_open" } }), ["Blocked"])
    assert.deepStrictEqual(kinds({ completed_per_second: 0, oldest_due_seconds: 120 }), ["Blocked"])
    assert.deepStrictEqual(kinds({ completed_per_second: 0, failed_per_second: 1, oldest_due_seconds: 120 }), [])
    const all = { orders_pending: 50, breaker: open, last_finished: { finished: 9, failed: 9 } }
    assert.deepStrictEqual(kinds(all), ["Refusing", "Blocked", "Failing"])
    assert.deepStrictEqual(kinds(all, { connection: { kind: "lost", since: 0, why: "silent" } }), ["Stale"])
  })

  it("in words with the numbers, which change, apart from them", () => {
    const [refusing] = told({ orders_pending: 50, orders_refused_last_minute: 99 })
    assert.strictEqual(plainText(refusing?.text ?? ""), "The backlog is full: new orders are refused.")
    assert.strictEqual(refusing?.counts, "50 of 50 orders wait. 99 orders refused in the last minute.")
    const [blocked] = told({ breaker: open })
    assert.strictEqual(
      plainText(blocked?.text ?? ""),
      "The processor fails with http_500. Orders wait; one is tried at times."
    )
    const [unready] = told({}, { reason: "Not ready: orders cannot be written." })
    assert.include(plainText(unready?.text ?? ""), "The service is not ready: orders cannot be written.")
    const [failed] = told({ last_finished: { finished: 100, failed: 97 } })
    assert.strictEqual(failed?.counts, "97 of the last 100 orders to finish failed.")
  })
})

/** A proxy that holds an answer back until its end, as buffering ones do, but for the pieces that it passes on. */
const bufferingProxy = (target: string, passesOn: (piece: string) => boolean) =>
  Effect.acquireRelease(
    Effect.async<Http.Server>((resume) => {
      const server = Http.createServer((request, response) => {
        const forwarded = Http.request(
          new URL(request.url ?? "/", target),
          { method: request.method, headers: request.headers },
          (answer) => {
            const begin = () => response.headersSent || response.writeHead(answer.statusCode ?? 502, answer.headers)
            const held: Array<Buffer> = []
            answer.on("data", (bytes: Buffer) => {
              if (!passesOn(bytes.toString())) return void held.push(bytes)
              begin()
              response.write(bytes)
            })
            answer.on("end", () => {
              begin()
              response.end(Buffer.concat(held))
            })
          }
        )
        forwarded.on("error", () => response.destroy())
        response.on("close", () => forwarded.destroy())
        request.pipe(forwarded)
      }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )

const nothing = () => false
const notEvents = (piece: string) => !piece.startsWith("event: order")

const urlOf = (server: Http.Server) => {
  const address = server.address()
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
}

inBrowser("The banner and the connection in a browser", () => {
  browsing("a full backlog, 99 of 100 orders refused", { ...slow, MAX_PENDING: "1" }, async ({ page, service }) => {
    const { url } = service
    await page.getByText("Nothing is really processed.").waitFor()
    await post(url, aNewOrder(1))
    await row(page, 1).getByText("Processing").waitFor()
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => post(url, aNewOrder(2 + index))))
    assert.strictEqual(answers.filter(({ status }) => status === 503).length, 99)
    const strip = page.getByRole("region", { name: "Alarms" })
    await page.getByRole("alert").getByText("Refusing. The backlog is full: new orders are refused.").waitFor()
    await strip.getByText("1 of 1 orders wait. 99 orders refused in the last minute.").waitFor()
    assert.strictEqual(await page.locator("#backlog").innerText(), "1 of 1")
    assert.strictEqual(await page.locator("#refused").innerText(), "99 in the last minute")
    assert.strictEqual(await page.title(), "⚠ Orders")
    assert.strictEqual(await page.locator("#connection").getAttribute("data-state"), "trouble")
  })

  browsing("400 of 400 orders failed", failing, async ({ page, service: { url } }) => {
    await submitMany(url, orders(1, 400))
    await page.getByRole("alert").getByText("Failing. Many orders fail").waitFor()
    await page.getByText("100 of the last 100 orders to finish failed.").waitFor()
    await page.getByRole("status").first().waitFor()
    await page.locator(".count", { hasText: "Failed" }).getByText("400", { exact: true }).waitFor()
    assert.strictEqual((await metricsOf(url)).last_finished.failed, 100)
  })

  it.scopedLive("behind a proxy that buffers the events, it says so and reads every second", () =>
    withPage(
      fast,
      ({ page, service }) =>
        Effect.promise(async () => {
          await page.getByText("Events do not come through").waitFor()
          for (const id of [1, 2, 3]) {
            await post(service.url, aNewOrder(id))
            await row(page, id).getByText("Completed").waitFor()
          }
          assert.strictEqual(await page.locator("#orders-note").innerText(), "Read each second")
          await row(page, 3).getByRole("link").click()
          await page.getByRole("dialog").locator("#panel-status").getByText("Completed").waitFor()
        }),
      undefined,
      {
        behind: ({ url }) => Effect.map(bufferingProxy(url, nothing), urlOf),
        state: "Read each second"
      }
    )
  )

  it.scopedLive("behind one that passes on all but the events, it finds out by the counts", () =>
    withPage(
      fast,
      ({ page, service }) =>
        Effect.promise(async () => {
          for (let id = 10; !(await page.getByText("Events do not come through").isVisible()); id++) {
            await post(service.url, aNewOrder(id))
            await page.waitForTimeout(500)
          }
          await post(service.url, aNewOrder(2))
          await row(page, 2).getByText("Completed").waitFor()
        }),
      undefined,
      { behind: ({ url }) => Effect.map(bufferingProxy(url, notEvents), urlOf) }
    )
  )
})
