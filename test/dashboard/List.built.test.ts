import * as Http from "node:http"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import { inBrowser } from "../support/Browser.ts"
import { browsing, fast, kill, orders, row, submitMany, withPage } from "../support/DashboardPage.ts"
import { aNewOrder, post } from "../support/ServiceProcess.ts"

const ids = (page: Page) => page.locator("#rows a").allInnerTexts()
const completed = (page: Page, count: string) =>
  page.locator(".count", { hasText: "Completed" }).getByText(count, { exact: true }).waitFor()

/** A shop that refuses each order with that text. */
const refusingShop = (code: string, message: string) =>
  Effect.acquireRelease(
    Effect.async<string>((resume) => {
      const server = Http.createServer((request, response) => {
        request.resume()
        response.writeHead(422, { "content-type": "application/json" }).end(JSON.stringify({ code, message }))
      }).listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(`http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/`))
      })
    }),
    () => Effect.void
  )

/** Nothing is kept of the changes and the time, so that the time that was known last is that of the last order. */
const keeping = { ...fast, HISTORY: "off" }

inBrowser("The list in a browser", () => {
  browsing("the page is in the address, and Newer knows the way back", fast, async ({ page, service: { url } }) => {
    await submitMany(url, orders(1, 130))
    await completed(page, "130")
    await row(page, 130).waitFor()
    await page.getByRole("button", { name: "Older" }).click()
    await row(page, 80).waitFor()
    const second = page.url()
    assert.match(second, /#cursor=/)
    await page.getByRole("button", { name: "Older" }).click()
    await row(page, 30).waitFor()
    assert.notStrictEqual(page.url(), second)

    await page.reload()
    await row(page, 30).waitFor()
    await page.getByRole("button", { name: "Newer" }).click()
    await row(page, 80).waitFor()
    assert.strictEqual(page.url(), second)
    await page.goBack()
    await row(page, 30).waitFor()
    await row(page, 30).getByRole("link").click()
    await page.getByRole("dialog", { name: "Order 30" }).waitFor()
    await page.keyboard.press("Escape")
    await row(page, 30).waitFor()
    await page.getByText("An older page").waitFor()

    // Where the page was opened by its address, nobody knows what is before it.
    await page.evaluate("sessionStorage.clear()")
    await page.goto(second)
    await page.reload()
    await row(page, 80).waitFor()
    assert.deepStrictEqual(
      await ids(page),
      Array.from({ length: 50 }, (_, index) => `${80 - index}`)
    )
    assert.isFalse(await page.getByRole("button", { name: "Newer" }).isVisible())
    await page.getByRole("button", { name: "Newest" }).click()
    await row(page, 130).waitFor()
  })

  browsing(
    "what the address asks for is named in full, and what cannot be is said",
    { ...fast, WORKERS: "1" },
    async ({ page, service: { url } }) => {
      await submitMany(url, [...orders(1, 2, { user_id: "ann" }), aNewOrder(3)])
      await completed(page, "3")
      const heading = page.locator("#orders-heading")
      const message = page.locator("#orders-message")
      const open = (hash: string) => page.goto(`${url}/#${hash}`)

      await open("q=ann&status=Completed")
      await row(page, 2).waitFor()
      assert.strictEqual(await heading.innerText(), "Completed orders: order or user ann")
      assert.deepStrictEqual(await ids(page), ["2", "1"])
      await open("q=ann&status=Failed")
      await message.getByText("No such order with the id ann or of a user ann.").waitFor()
      assert.strictEqual(await heading.innerText(), "Failed orders: order or user ann")
      // The order of that id is Completed, and not among the Failed ones.
      await open("q=3&status=Failed")
      await message.getByText("No such order with the id 3").waitFor()
      assert.deepStrictEqual(await ids(page), [])
      await open("q=3&status=Completed")
      await row(page, 3).waitFor()
      await open("q=ann&status=Failed&error_code=timeout")
      assert.strictEqual(await heading.innerText(), "Failed with timeout: order or user ann")

      await open("status=Nonsense")
      await message.getByText("There is no status “Nonsense”. The statuses are Pending, Processing,").waitFor()
      assert.strictEqual(await heading.innerText(), "Orders")
      await open("status=completed")
      await message.getByText("There is no status “completed”.").waitFor()
      await open("cursor=nonsense")
      await message.getByText("There is no such page. Newest leads to the first one.").waitFor()
      await page.getByRole("button", { name: "Newest" }).click()
      await row(page, 3).waitFor()
      await open("order=no%20id")
      await page.getByRole("dialog").getByText("Ids are whole numbers").waitFor()
    },
    /(404|422).*\/api\/order/
  )

  it.scopedLive("an order that retention removed is said to be, and not denied", () =>
    withPage(
      keeping,
      ({ page, restart, service }) =>
        Effect.gen(function* () {
          yield* Effect.promise(async () => {
            await post(service.url, { ...aNewOrder(5), user_id: 77 })
            await completed(page, "1")
            await page.waitForTimeout(2000)
            await post(service.url, aNewOrder(6))
            await completed(page, "2")
          })
          yield* kill(service)
          // It looks at the start, and then once a minute.
          const { url } = yield* restart({ ...keeping, RETENTION: "1 second" })
          yield* Effect.promise(async () => {
            while ((await fetch(`${url}/api/order/5`)).status !== 410) await page.waitForTimeout(50)
            await page.goto(url)
            const text = "Order 5 was Completed and has been removed after its retention."
            await page.getByRole("searchbox").fill("5")
            await page.keyboard.press("Enter")
            await page.locator("#orders-message").getByText(text).waitFor()
            await page.goto(`${url}/#order=5`)
            await page.getByRole("dialog").getByText(text).waitFor()
          })
        }),
      /ERR_|410.*\/api\/order/
    )
  )

  it.scopedLive(
    "amounts and messages are shown as they are, failed orders are a line, and a reload keeps the chart",
    () =>
      Effect.gen(function* () {
        const WEBHOOK_URL = yield* refusingShop("no_stock", "first line\n  second line")
        const settings = { PROCESSOR: "webhook", WEBHOOK_URL, WEBHOOK_SECRET: Buffer.alloc(32).toString("base64") }
        yield* withPage(settings, ({ page, service: { url } }) =>
          Effect.promise(async () => {
            const money = { JPY: 1200, KWD: 1.5, EUR: "99999999999.9999" }
            await submitMany(
              url,
              Object.entries(money).map(([currency, total_amount], index) => ({
                ...aNewOrder(index + 1),
                total_amount,
                currency
              }))
            )
            await row(page, 3).getByText("Failed").waitFor()
            const totals = await page.locator("#rows td:nth-child(4)").allInnerTexts()
            assert.deepStrictEqual(totals.sort(), ["1,200 JPY", "1.500 KWD", "99,999,999,999.9999 EUR"])

            // By the second look the failed ones are in the chart.
            await page
              .locator("#failed-rate")
              .filter({ hasNotText: /^0\.0$/ })
              .waitFor()
            const shown = async () => {
              const { height, width, x, y } = (await page.locator("#chart").boundingBox()) ?? assert.fail("no chart")
              const rates: Array<string> = []
              for (let at = width - 15; at > width / 2; at -= 4) {
                await page.mouse.move(x + at, y + height / 2)
                rates.push(await page.locator("#failed-rate").innerText())
              }
              return rates
            }
            await page.waitForTimeout(3000)
            assert.isAbove(Math.max(...(await shown()).map(Number)), 0)
            await page.reload()
            await page.locator("#connection").getByText("Live", { exact: true }).waitFor()
            assert.isAbove(Math.max(...(await shown()).map(Number)), 0)

            await row(page, 1).getByRole("link").click()
            const message = page.locator("#panel-error-message")
            await message.getByText("first line").waitFor()
            assert.strictEqual(await message.innerText(), "first line\n  second line")
          })
        )
      })
  )
})
