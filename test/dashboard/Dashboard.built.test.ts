import * as Fs from "node:fs"
import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inBrowser } from "../support/Browser.ts"
import {
  browsing,
  failing,
  fast,
  findings,
  kill,
  metricsOf,
  orders,
  row,
  slow,
  submitMany,
  withPage
} from "../support/DashboardPage.ts"
import { aNewOrder, post, programIn, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

describe("Dashboard over HTTP", () => {
  it.scopedLive("the page and its files: media types, a strict policy, revalidation, HEAD, and no others", () =>
    Effect.gen(function* () {
      const { url } = yield* startService(yield* temporaryFolder)
      yield* Effect.promise(async () => {
        for (const [path, type] of [
          ["/", "text/html; charset=utf-8"],
          ["/dashboard/main.js", "text/javascript; charset=utf-8"],
          ["/dashboard/theme.js", "text/javascript; charset=utf-8"],
          ["/dashboard/style.css", "text/css; charset=utf-8"],
          ["/dashboard/icon.svg", "image/svg+xml"]
        ] as const) {
          const answer = await fetch(`${url}${path}`)
          const body = await answer.text()
          assert.strictEqual(answer.status, 200, path)
          assert.strictEqual(answer.headers.get("content-type"), type)
          assert.strictEqual(answer.headers.get("cache-control"), "no-cache")
          assert.strictEqual(answer.headers.get("x-content-type-options"), "nosniff")
          const policy = answer.headers.get("content-security-policy") ?? ""
          for (const rule of [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'"
          ]) {
            assert.include(policy.split("; "), rule)
          }
          assert.notInclude(policy, "unsafe")

          const etag = answer.headers.get("etag") ?? ""
          const again = await fetch(`${url}${path}`, { headers: { "if-none-match": etag } })
          assert.deepStrictEqual([again.status, await again.text()], [304, ""])
          const head = await fetch(`${url}${path}`, { method: "HEAD" })
          assert.deepStrictEqual([head.status, await head.text()], [200, ""])
          assert.strictEqual(head.headers.get("content-length"), String(Buffer.byteLength(body)))
        }
        for (const path of ["/dashboard", "/dashboard/", "/dashboard/nothing.js", "/dashboard/../package.json"]) {
          assert.strictEqual((await fetch(`${url}${path}`)).status, 404, path)
        }
        assert.strictEqual((await fetch(url, { method: "POST" })).status, 405)
      })
    })
  )

  it.scopedLive("without its files the service runs, and the page says how to get them", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      // In a folder where its one native module is found.
      const modules = `${folder}/node_modules`
      Fs.symlinkSync(Fs.realpathSync("node_modules"), modules)
      Fs.mkdirSync(`${folder}/program`)
      const { url } = yield* startService(folder, {}, programIn(`${folder}/program`))
      yield* Effect.promise(async () => {
        const answer = await fetch(url)
        assert.strictEqual(answer.status, 404)
        assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
        assert.include(await answer.text(), "npm run build")
        assert.strictEqual((await post(url, aNewOrder(1))).status, 202)
      })
    })
  )

  it.scopedLive("metrics tell what processes the orders", () =>
    Effect.gen(function* () {
      const processorOf = (settings: Record<string, string>) =>
        Effect.gen(function* () {
          const { url } = yield* startService(yield* temporaryFolder, settings)
          return yield* Effect.promise(async () => {
            return (await metricsOf(url)).processor
          })
        })
      const WEBHOOK_SECRET = Buffer.alloc(32).toString("base64")
      assert.strictEqual(yield* processorOf({}), "simulated")
      const webhook = { PROCESSOR: "webhook", WEBHOOK_URL: "http://127.0.0.1:9/", WEBHOOK_SECRET }
      assert.strictEqual(yield* processorOf(webhook), "webhook")
    })
  )
})

inBrowser("Dashboard in a browser", () => {
  browsing("orders appear and their statuses move to Completed", fast, async ({ page, service: { url } }) => {
    await page.getByText("No orders here yet.").waitFor()
    await post(url, aNewOrder(101))
    await row(page, 101).getByText("Completed").waitFor()
    await page.locator(".count", { hasText: "Completed" }).getByText("1", { exact: true }).waitFor()
    assert.include(await row(page, 101).innerText(), "9.99")
    await page.locator("#chart canvas").waitFor()
  })

  browsing("the sample button submits a hundred orders, and says so", fast, async ({ page }) => {
    await page.getByText("Nothing is really processed.").waitFor()
    await page.getByRole("button", { name: "Submit 100 sample orders" }).click()
    await page.getByText("100 orders accepted.").waitFor()
    await page.locator(".count", { hasText: "Completed" }).getByText("100", { exact: true }).waitFor()
    await page.locator("#rows tr").nth(49).waitFor()
    assert.strictEqual(await page.locator("#rows tr").count(), 50)
    const newest = await page.locator("#rows a").first().innerText()
    await page.getByRole("button", { name: "Older" }).click()
    await page.getByText("An older page").waitFor()
    await row(page, newest).waitFor({ state: "detached" })
    await page.getByRole("button", { name: "Newer" }).click()
    await row(page, newest).waitFor()
  })

  browsing(
    "search by order and by user, and lists by status",
    fast,
    async ({ page, service: { url } }) => {
      await submitMany(url, [...orders(1, 3, { user_id: "ann" }), ...orders(900, 2), { ...aNewOrder(7), user_id: 8 }])
      await page.locator(".count", { hasText: "Completed" }).getByText("6", { exact: true }).waitFor()
      const ids = () => page.locator("#rows a").allInnerTexts()

      await page.getByRole("searchbox").fill("ann")
      await page.keyboard.press("Enter")
      await page.getByRole("heading", { name: "Order or user ann" }).waitFor()
      await row(page, 3).waitFor()
      assert.deepStrictEqual((await ids()).sort(), ["1", "2", "3"])

      // 7 is an order, and the user of two others.
      await page.goto(`${url}/#q=7`)
      await row(page, 900).waitFor()
      assert.deepStrictEqual(await ids(), ["7", "901", "900"])

      await page.getByRole("searchbox").fill("nobody")
      await page.getByRole("button", { name: "Search" }).click()
      await page.getByText("No order and no user nobody.").waitFor()
      await page.getByRole("searchbox").fill("no such id!")
      await page.getByRole("button", { name: "Search" }).click()
      await page.getByText("Ids are whole numbers").waitFor()

      await page.locator(".count", { hasText: "Cancelled" }).click()
      await page.getByRole("heading", { name: "Cancelled orders" }).waitFor()
      await page.getByText("No orders here yet.").waitFor()
    },
    // Looked for as an order too.
    /404.*\/api\/order\/(ann|nobody)/
  )

  browsing(
    "the story of an order, in a panel with an address",
    fast,
    async ({ page, service: { url } }) => {
      await post(url, { ...aNewOrder(5), currency: "EUR", metadata: { gift: "yes, wrapped" } })
      await row(page, 5).getByText("Completed").waitFor()
      await row(page, 5).getByRole("link").click()
      const panel = page.getByRole("dialog")
      await panel.getByText("9.99 EUR").waitFor()
      for (const text of ["Accepted", "Started", "Completed", "yes, wrapped", "2 items", "1, 2"]) {
        await panel.getByText(text).first().waitFor()
      }
      assert.strictEqual(new URL(page.url()).hash, "#order=5")
      await page.keyboard.press("Escape")
      await panel.waitFor({ state: "hidden" })
      await page.waitForURL(`${url}/#newest`)

      await page.goto(`${url}/#order=5`)
      await page.reload()
      await panel.getByText("yes, wrapped").waitFor()
      await panel.getByRole("link", { name: "7" }).click()
      await page.getByRole("heading", { name: "Order or user 7" }).waitFor()
      await panel.waitFor({ state: "hidden" })
    },
    /404.*\/api\/order\/7/
  )

  it.scopedLive("a failed order shows why, and is completed by a retry", () =>
    withPage(
      failing,
      ({ page, restart, service }) =>
        Effect.gen(function* () {
          const panel = page.getByRole("dialog")
          yield* Effect.promise(async () => {
            await post(service.url, aNewOrder(5))
            await row(page, 5).getByText("Failed").waitFor()
            await row(page, 5).getByRole("link").click()
            await panel.locator("#panel-error-message").getByText("A simulated failure").waitFor()
            await panel.getByRole("button", { name: "Retry" }).click()
            await page.getByText("Order 5 is retried.").waitFor()
            await panel.locator("#panel-status").getByText("Failed").waitFor()
          })
          yield* kill(service)
          yield* restart(fast)
          yield* Effect.promise(async () => {
            await page.getByText("Connected again.").waitFor()
            await panel.getByRole("button", { name: "Retry" }).click()
            await panel.locator("#panel-status").getByText("Completed").waitFor()
            await page.keyboard.press("Escape")
            await row(page, 5).getByText("Completed").waitFor()
          })
        }),
      /ERR_/
    )
  )

  it.scopedLive("failures are grouped; retrying them asks first", () =>
    withPage(
      failing,
      ({ page, restart, service }) =>
        Effect.gen(function* () {
          const group = page.locator("#failures li")
          const dialog = page.getByRole("alertdialog")
          yield* Effect.promise(async () => {
            await submitMany(service.url, orders(1, 30))
            await group.getByText("30", { exact: true }).waitFor()
            await group.getByRole("link", { name: "simulated" }).click()
            await page.getByRole("heading", { name: "Failed with simulated" }).waitFor()
          })
          yield* kill(service)
          const { url } = yield* restart(fast)
          yield* Effect.promise(async () => {
            await page.getByText("Connected again.").waitFor()
            await group.getByRole("button").click()
            await dialog.getByText("Retry 30 orders?").waitFor()
            assert.strictEqual(await page.evaluate("document.activeElement.id"), "confirm-no")
            await page.keyboard.press("Escape")
            await dialog.waitFor({ state: "hidden" })
            assert.strictEqual((await metricsOf(url)).orders_failed, 30)

            await group.getByRole("button").click()
            await dialog.getByRole("button", { name: "Retry these" }).click()
            await page.getByText("30 orders are retried.").waitFor()
            await page.locator(".count", { hasText: "Completed" }).getByText("30", { exact: true }).waitFor()
            await page.getByText("No order has failed.").waitFor()
          })
        }),
      /ERR_/
    )
  )

  browsing("an order is cancelled, and another one while it waits", slow, async ({ page, service: { url } }) => {
    await submitMany(url, orders(1, 2))
    await page.locator("#rows").getByText("Processing").waitFor()
    for (const id of [1, 2]) {
      await row(page, id).getByRole("link").click()
      await page.getByRole("button", { name: "Cancel order" }).click()
      await page.getByText(`Order ${id} is cancelled.`).waitFor()
      await page.getByRole("button", { name: "Close" }).click()
      await row(page, id).getByText("Cancelled").waitFor()
    }
  })

  it.scopedLive("a lost connection is shown, and what was missed is there when it is back", () =>
    withPage(
      fast,
      ({ page, restart, service }) =>
        Effect.gen(function* () {
          yield* Effect.promise(async () => {
            await post(service.url, aNewOrder(1))
            await row(page, 1).getByText("Completed").waitFor()
          })
          yield* kill(service)
          yield* Effect.promise(() => page.getByRole("alert").getByText("Connection lost.").waitFor())
          yield* Effect.promise(async () => {
            assert.strictEqual(await page.locator("#ready").innerText(), "Unknown")
            assert.strictEqual(await page.locator("#orders-note").innerText(), "Not live")
            assert.strictEqual(await page.title(), "⚠ Orders")
          })
          const { url } = yield* restart()
          yield* Effect.promise(async () => {
            await post(url, aNewOrder(2))
            await row(page, 2).getByText("Completed").waitFor()
            await page.locator("#connection").getByText("Live").waitFor()
            await page.locator("#alarm-text").waitFor({ state: "hidden" })
            await post(url, aNewOrder(3))
            await row(page, 3).getByText("Completed").waitFor()
          })
        }),
      /ERR_/
    )
  )

  browsing(
    "4,000 orders at once: the page stays responsive and small",
    { PROCESSING_TIME: "5 millis", WORKERS: "100" },
    async ({ page, service: { url } }) => {
      await page.evaluate(`
        window.longest = 0
        new PerformanceObserver((list) => {
          for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration)
        }).observe({ type: "longtask" })
      `)
      const flood = async () => {
        for (let from = 1; from < 4000; from += 2000) await submitMany(url, orders(from, 2000))
      }
      const flooded = flood()
      for (let press = 0; press < 6; press++) {
        await page.locator("#theme").click({ timeout: 10_000 })
        await page.waitForTimeout(300)
      }
      await flooded
      await page.locator(".count", { hasText: "Completed" }).getByText("4,000", { exact: true }).waitFor()
      await row(page, 4000).getByText("Completed").waitFor()
      assert.isAtMost(await page.locator("#rows tr").count(), 50)
      assert.isBelow(await page.evaluate<number>("window.longest"), 5000)
    }
  )

  const unreachable = {
    PROCESSOR: "webhook",
    WEBHOOK_URL: "http://127.0.0.1:9/",
    WEBHOOK_SECRET: Buffer.alloc(32).toString("base64")
  }
  browsing("an outage of the processor is said above all, and why", unreachable, async ({ page, service: { url } }) => {
    assert.strictEqual(await page.title(), "Orders")
    await submitMany(url, orders(1, 20))
    await page.getByRole("alert").getByText("The processor fails with connection_failed, since").waitFor()
    await page.getByRole("region", { name: "Alarms" }).getByText("20 orders waiting.").waitFor()
    assert.strictEqual(await page.title(), "⚠ Orders")
    assert.strictEqual(await page.locator("#connection").getAttribute("data-state"), "trouble")
    assert.deepStrictEqual(await findings(page), [])
  })

  it.scopedLive("markup in anything from outside stays text", () =>
    Effect.gen(function* () {
      const attack = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
      const endpoint = yield* Effect.acquireRelease(
        Effect.async<Http.Server>((resume) => {
          const server = Http.createServer((request, response) => {
            request.resume()
            response.writeHead(422, { "content-type": "application/json" })
            response.end(JSON.stringify({ code: attack.slice(0, 40), message: attack }))
          }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const address = endpoint.address()
      assert.isTrue(typeof address === "object" && address !== null)
      const port = typeof address === "object" ? address?.port : undefined
      const WEBHOOK_URL = `http://127.0.0.1:${port}/`
      const settings = { PROCESSOR: "webhook", WEBHOOK_URL, WEBHOOK_SECRET: Buffer.alloc(32).toString("base64") }
      yield* withPage(
        settings,
        ({ page, service: { url } }) =>
          Effect.promise(async () => {
            assert.isTrue(await page.locator("#simulated").isHidden())
            await post(url, { ...aNewOrder(1), metadata: { [attack]: attack } })
            await page.locator("#failures").getByText(attack.slice(0, 40)).waitFor()
            await page.locator("#failures a").click()
            await page.getByRole("heading", { name: "Failed with" }).waitFor()
            await row(page, 1).waitFor()
            await row(page, 1).getByRole("link").click()
            const panel = page.getByRole("dialog")
            await panel.locator("#panel-error-message").getByText(attack).waitFor()
            for (const name of ["q", "order", "error_code", "status"]) {
              await page.goto(`${url}/#${name}=${encodeURIComponent(attack)}`)
              await page.reload()
              await page.locator("#connection").getByText("Live").waitFor()
            }
            assert.deepStrictEqual(
              await page.evaluate("[window.hacked, document.images.length, document.scripts.length]"),
              [undefined, 0, 2]
            )
          }),
        /(404|422).*\/api\/order/
      )
    })
  )

  browsing(
    "by keyboard alone",
    failing,
    async ({ page, service: { url } }) => {
      const press = async (...keys: ReadonlyArray<string>) => {
        for (const key of keys) await page.keyboard.press(key)
      }
      const focused = () => page.evaluate<string>("document.activeElement.textContent.trim()")
      const tabTo = async (text: string) => {
        for (let step = 0; step < 40 && (await focused()) !== text; step++) await press("Tab")
        assert.strictEqual(await focused(), text)
      }
      await submitMany(url, orders(41, 2))
      await page.locator("#failures").getByText("2", { exact: true }).waitFor()
      await press("Tab")
      assert.strictEqual(await focused(), "Skip to the orders")
      await press("Enter")
      assert.strictEqual(await focused(), "Newest orders")
      await press("Tab")
      await page.keyboard.type("41")
      await press("Enter")
      await page.getByRole("heading", { name: "Order or user 41" }).waitFor()
      await row(page, 41).waitFor()
      await tabTo("41")
      await press("Enter")
      await page.locator("#panel-error-message").getByText("A simulated failure").waitFor()
      assert.strictEqual(await focused(), "Order 41")
      await tabTo("Retry")
      await press("Enter")
      await page.getByText("Order 41 is retried.").waitFor()
      assert.include(["Order 41", "Retry"], await focused())
      await press("Escape")
      assert.strictEqual(await focused(), "41")
      await page.locator("#failures").getByText("2", { exact: true }).waitFor()
      await page.locator("#theme").focus()
      await tabTo("Retry these")
      await press("Enter")
      await page.getByRole("alertdialog").waitFor()
      await press("Tab", "Enter")
      await page.getByText("2 orders are retried.").waitFor()
      // They are away until they have failed again.
      for (let look = 0; look < 8; look++) {
        assert.include(["Failures", "Retry these"], await focused())
        await page.waitForTimeout(250)
      }
    },
    /404.*\/api\/order\/41/
  )

  browsing("on a phone nothing is cut off", failing, async ({ page, service: { url } }) => {
    await page.setViewportSize({ width: 360, height: 740 })
    await submitMany(url, [...orders(1, 60), { ...aNewOrder(1), order_id: "a".repeat(64), user_id: "b".repeat(64) }])
    await row(page, "a".repeat(64)).getByText("Failed").waitFor()
    await page.locator("#failures").getByText("61", { exact: true }).waitFor()
    const width = () => page.evaluate<number>("document.documentElement.scrollWidth")
    assert.isAtMost(await width(), 360)
    assert.isAtLeast(await page.evaluate<number>("document.querySelector('#query').offsetWidth"), 180)
    await row(page, "a".repeat(64)).getByRole("link").click()
    await page.locator("#panel-error-message").getByText("A simulated failure").waitFor()
    assert.isAtMost(await page.evaluate<number>("document.querySelector('#panel').scrollWidth"), 360)
    assert.isAtMost(await width(), 360)
  })

  for (const theme of ["light", "dark"] as const) {
    browsing(
      `${theme}: axe finds nothing serious, also with the panel and the question open`,
      failing,
      async (opened) => {
        const { page, service } = opened
        await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" })
        await submitMany(service.url, orders(1, 60))
        await page.locator("#failures li").waitFor()
        assert.strictEqual(
          await page.evaluate("getComputedStyle(document.documentElement).backgroundColor"),
          {
            light: "rgb(251, 252, 252)",
            dark: "rgb(16, 21, 22)"
          }[theme]
        )
        assert.deepStrictEqual(await findings(page), [])
        await page.locator("#rows a").first().click()
        await page.locator("#panel-error-message").getByText("A simulated failure").waitFor()
        assert.deepStrictEqual(await findings(page), [])
        await page.keyboard.press("Escape")
        await page.locator("#failures button").click()
        await page.getByRole("alertdialog").waitFor()
        assert.deepStrictEqual(await findings(page), [])
      }
    )
  }

  browsing("a chosen theme stays", fast, async ({ page }) => {
    await page.emulateMedia({ colorScheme: "light" })
    await page.getByRole("button", { name: "Dark theme" }).click()
    await page.reload()
    await page.getByRole("button", { name: "Light theme" }).waitFor()
    assert.strictEqual(await page.evaluate("document.documentElement.dataset.theme"), "dark")
  })

  if (process.env.DASHBOARD_PICTURE) {
    it.scopedLive(
      "a picture for the README",
      () =>
        Effect.gen(function* () {
          const WEBHOOK_URL = yield* startShop
          const settings = { PROCESSOR: "webhook", WEBHOOK_URL, WEBHOOK_SECRET: Buffer.alloc(32).toString("base64") }
          yield* withPage(settings, ({ page, service: { url } }) =>
            Effect.promise(async () => {
              await page.emulateMedia({ colorScheme: "light" })
              await page.setViewportSize({ width: 1280, height: 900 })
              for (let second = 0; second < 75; second++) {
                const count = Math.round(60 + 25 * Math.sin(second / 9) + Math.random() * 12)
                await submitMany(url, orders(48_201 + second * 100, count).map(asSold))
                await page.waitForTimeout(1000)
              }
              Fs.mkdirSync("docs", { recursive: true })
              await page.screenshot({ path: "docs/dashboard.png" })
            })
          )
        }),
      200_000
    )
  }
})

const asSold = (order: object) => ({
  ...order,
  user_id: 1 + Math.floor(Math.random() * 900),
  ...(Math.random() < 0.2
    ? { total_amount: 500 + Math.floor(Math.random() * 20_000), currency: "JPY" }
    : { total_amount: (5 + Math.random() * 280).toFixed(2), currency: "EUR" })
})

/** A shop that takes a while for an order, and cannot do some. */
const startShop = Effect.acquireRelease(
  Effect.async<Http.Server>((resume) => {
    const server = Http.createServer((request, response) => {
      request.resume()
      const [dice, kind] = [Math.random(), Math.random()]
      const code = kind < 0.6 ? "out_of_stock" : kind < 0.9 ? "card_declined" : "address_unknown"
      const answer = () =>
        dice < 0.03
          ? response.writeHead(422, { "content-type": "application/json" }).end(JSON.stringify({ code, message: code }))
          : response.writeHead(204).end()
      setTimeout(answer, 300 + Math.random() * 700)
    }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.sync(() => server.close())
).pipe(
  Effect.map((server) => {
    const address = server.address()
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/`
  })
)
