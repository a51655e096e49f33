import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page, Route } from "playwright-core"
import { inBrowser } from "../support/Browser.ts"
import { browsing, fast, orders, submitMany, withPage } from "../support/DashboardPage.ts"
import { startEndpoint } from "../support/Endpoint.ts"
import { aNewOrder, post } from "../support/ServiceProcess.ts"

const longName = "u".repeat(64)
const longCode = "the.shop_answered:something-very-long-that-fills-all-64-letters."

/** What the page is told; the rest is the real service's. */
const states = {
  calm: {},
  Failing: { last_finished: { finished: 100, failed: 99 }, orders_failed: 1_234_567 },
  Blocked: {
    last_finished: { finished: 100, failed: 99 },
    breaker: {
      state: "open",
      failures_in_a_row: 12_345,
      last_error_code: longCode,
      opened_at: "2020-01-31T12:00:00.000Z",
      next_probe_at: "2099-01-31T12:00:00.000Z"
    }
  },
  Refusing: {
    orders_pending: 100_000_000,
    orders_pending_limit: 100_000_000,
    orders_refused_last_minute: 12_345_678,
    last_finished: { finished: 100, failed: 99 },
    accepted_per_second: 12_345,
    completed_per_second: 12_345,
    failed_per_second: 12_345,
    total_orders: 1_234_567_890,
    orders_completed: 1_234_567_890,
    queue_wait: { p50: 5900, p95: 359_000, p99: 35_900_000 }
  }
} as const
type Kind = keyof typeof states | "Stale"

/** Lets the page see a service in trouble, or none at all. */
const doctored = async (page: Page) => {
  let kind: Kind = "calm"
  await page.route("**/api/metrics", async (route: Route) => {
    if (kind === "Stale") return route.abort()
    const response = await route.fetch()
    await route.fulfill({ response, json: { ...(await response.json()), ...states[kind] } })
  })
  return async (next: Kind) => {
    kind = next
    await page.locator(`#strip[data-kind="${next}"]`).waitFor()
  }
}

/** The page as it is now waits a fifth as long for whatever it waits. */
const hurry = (page: Page) =>
  page.evaluate(`
    const wait = window.setTimeout.bind(window)
    window.setTimeout = (run, millis = 0, ...rest) => wait(run, millis / 5, ...rest)
  `)

/** Everything that can be pointed at and is there from the beginning. */
const targets = [
  ...["#theme", "nav a", "#sample", ".count", "#chart", "#query", "#search button", "#pause", "#older"],
  "#rows tr:first-child"
].join(", ")

const boxes = (page: Page) =>
  page.evaluate(
    `Array.from(document.querySelectorAll(${JSON.stringify(targets)}), (element) => {
      const { x, y, width, height } = element.getBoundingClientRect()
      return [element.id || element.className || element.tagName, x, y, width, height].join(" ")
    })`
  )

/** Clicks where the pointer is: it opens that order. */
const openAndClose = async (page: Page, id: string) => {
  await page.mouse.down()
  await page.mouse.up()
  await page.getByRole("dialog", { name: `Order ${id}` }).waitFor()
  await page.keyboard.press("Escape")
  await page.getByRole("dialog").waitFor({ state: "hidden" })
  await page.waitForURL((url) => !url.hash.includes("order="))
}

const views = [
  { name: "the newest orders", hash: "" },
  { name: "a long heading", hash: `#${new URLSearchParams({ q: longName, status: "Completed" })}` }
]

inBrowser("Nothing that is shown moves what is pointed at", () => {
  browsing(
    "the first row, hovered and clicked while orders and alarms come, in eight widths",
    { ...fast, PROCESSING_FAILURES: "0" },
    async ({ page, service: { url } }) => {
      await submitMany(url, orders(1, 60, { user_id: longName }))
      await page.locator(".count", { hasText: "Completed" }).getByText("60", { exact: true }).waitFor()
      const become = await doctored(page)
      let next = 1000
      for (const width of [360, 768, 900, 980, 1050, 1150, 1280, 1600]) {
        await page.setViewportSize({ width, height: 900 })
        for (const { hash, name } of views) {
          await page.goto(`${url}/${hash}`)
          await page.reload()
          await page.locator("#connection").getByText("Live", { exact: true }).waitFor()
          await page.locator("#rows tr").nth(49).waitFor()
          await hurry(page)
          const first = page.locator("#rows tr").first()
          const status = first.locator("td").first()
          await status.hover()
          await page.getByText("Held while you choose").waitFor()
          const id = await first.locator("a").innerText()
          const before = await boxes(page)
          for (const kind of ["Failing", "Blocked", "Refusing", "Stale", "calm"] as const) {
            await post(url, { ...aNewOrder(next++), user_id: longName })
            await become(kind)
            assert.deepStrictEqual(await boxes(page), before, `${width} px, ${name}, ${kind}`)
          }
          await openAndClose(page, id)
        }
        await page.mouse.move(5, 5)
      }
    },
    /ERR_FAILED|404.*\/api\/order\/u+/
  )

  browsing(
    "10 of 10 clicks on the first row open its order while others are processed",
    { PROCESSING_TIME: "20 millis", WORKERS: "4" },
    async ({ page, service: { url } }) => {
      await page.setViewportSize({ width: 1050, height: 900 })
      await submitMany(url, orders(1, 60))
      await page.locator("#rows tr").nth(49).waitFor()
      let isSubmitting = true
      const submit = async () => {
        for (let id = 1000; isSubmitting; id++) await post(url, aNewOrder(id))
      }
      const submitting = submit()
      for (let click = 0; click < 10; click++) {
        await page.locator("#rows tr").first().locator("td").first().hover()
        // What is pointed at: it may be another one than it was when the pointer was sent there.
        const id = await page.locator("#rows tr:hover a").innerText()
        await openAndClose(page, id)
        await page.mouse.move(5, 5)
      }
      isSubmitting = false
      await submitting
    }
  )

  it.scopedLive("the button of a group of failures stays under the pointer, and so do those of an order", () =>
    Effect.gen(function* () {
      let code = "first"
      const shop = yield* startEndpoint((_request, response) => {
        response.writeHead(422, { "content-type": "application/json" }).end(JSON.stringify({ code, message: code }))
      })
      const WEBHOOK_SECRET = Buffer.alloc(32).toString("base64")
      const settings = { PROCESSOR: "webhook", WEBHOOK_URL: shop.url.href, WEBHOOK_SECRET }
      yield* withPage(settings, ({ page, service: { url } }) =>
        Effect.promise(async () => {
          // A panel that slides in is elsewhere meanwhile.
          await page.emulateMedia({ reducedMotion: "reduce" })
          const codes = () => page.locator("#failures code").allInnerTexts()
          await submitMany(url, orders(1, 3))
          await page.locator("#failures").getByText("first").waitFor()
          const button = page.getByRole("button", { name: "Retry these: first" })
          await button.hover()
          const before = await button.boundingBox()
          code = "second"
          await submitMany(url, orders(11, 30))
          await page.locator(".count", { hasText: "Failed" }).getByText("33", { exact: true }).waitFor()
          // Groups are read again after three seconds, and would be in another order.
          await page.waitForTimeout(6000)
          assert.deepStrictEqual(await codes(), ["first"])
          assert.deepStrictEqual(await button.boundingBox(), before)
          await page.mouse.move(5, 5)
          await page.locator("#failures").getByText("second").waitFor()
          assert.deepStrictEqual(await codes(), ["second", "first"])

          await page.goto(`${url}/#order=1`)
          const retry = page.getByRole("dialog").getByRole("button", { name: "Retry" })
          const copy = page.getByRole("button", { name: "Copy link" })
          await retry.waitFor()
          const places = async () => [await copy.boundingBox(), await page.locator("#panel-retry").boundingBox()]
          const there = await places()
          await retry.click()
          await page.getByText("Order 1 is retried.").waitFor()
          assert.deepStrictEqual(await places(), there)
        })
      )
    })
  )
})
