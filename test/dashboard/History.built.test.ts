import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Page } from "playwright-core"
import { Changes } from "../../src/api/Answers.ts"
import { inBrowser } from "../support/Browser.ts"
import { browsing, kill, orders, row, slow, submitMany, withPage } from "../support/DashboardPage.ts"
import { answer, startEndpoint } from "../support/Endpoint.ts"
import { keysFile } from "../support/ProtectedService.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

const longCode = "c".repeat(64)

/** The story that is shown: what happened, without when, and how much of it is known of the error. */
const story = (page: Page) =>
  page.evaluate<Array<string>>(`Array.from(document.querySelectorAll("#panel-story li"), (item) =>
    ["strong", "code", "p"].flatMap((name) => item.querySelector(name)?.textContent ?? []).join("; "))`)

const step = (page: Page, title: string) =>
  page.locator("#panel-story li", { has: page.getByText(title, { exact: true }) })

/** What is asked of the service with that path from now on, as its query. */
const askedOf = (page: Page, path: string) => {
  const asked: Array<string> = []
  page.on("request", (request) => {
    const { pathname, search } = new URL(request.url())
    if (pathname === path) asked.push(search)
  })
  return asked
}

const act = (url: string, verb: "cancel" | "retry", id: number) =>
  fetch(`${url}/api/order/${id}/${verb}`, { method: "POST" })

const decodeChanges = Schema.decodeUnknownPromise(Changes)

const idsOf = async (url: string, query = "") => {
  const { changes } = await decodeChanges(await (await fetch(`${url}/api/changes?limit=1000${query}`)).json())
  return changes.map(({ id }) => id)
}

/** Keeps the page away from the service. */
const everything = /\/(api\/|readyz)/
const cutOff = async (page: Page) => {
  await page.route(everything, (route) => route.abort())
  return () => page.unroute(everything)
}

const lost = (page: Page) => page.locator("#connection").getByText("Connection lost").waitFor()
const live = (page: Page) => page.locator("#connection").getByText("Live", { exact: true }).waitFor()

inBrowser("The history of orders in a browser", () => {
  it.scopedLive(
    "an order that failed twice, was retried by hand and completed reads like its story, live and later",
    () =>
      Effect.gen(function* () {
        const refusal = JSON.stringify({ code: longCode, message: "m".repeat(300) })
        const answers = [answer(500), answer(422, refusal), answer(204)]
        const shop = yield* startEndpoint((request, response) => answers.shift()?.(request, response))
        const { file, key } = yield* keysFile({ support: ["submit,read,operate,metrics"] })
        const settings = {
          PROCESSOR: "webhook",
          WEBHOOK_URL: shop.url.href,
          WEBHOOK_SECRET: Buffer.alloc(32).toString("base64"),
          MAX_ATTEMPTS: "2",
          RETRY_BASE: "10 millis",
          API_KEYS_FILE: file
        }
        yield* withPage(
          settings,
          ({ page, service: { url } }) =>
            Effect.promise(async () => {
              await page.getByRole("dialog").getByLabel("Key").fill(key("support"))
              await page.keyboard.press("Enter")
              await live(page)
              const histories = askedOf(page, "/api/order/5/history")
              await fetch(`${url}/api/order`, {
                method: "POST",
                headers: { "content-type": "application/json", authorization: `Bearer ${key("support")}` },
                body: JSON.stringify(aNewOrder(5))
              })
              await row(page, 5).getByText("Failed").waitFor()
              await row(page, 5).getByRole("link").click()
              await page.getByRole("button", { name: "Retry", exact: true }).click()
              await step(page, "Completed").waitFor()
              const told = [
                "Accepted",
                "Attempt 1 started",
                "Attempt 1 failed; http_500; The endpoint answered 500",
                "Attempt 2 started",
                `Attempt 2 failed; ${longCode}; ${"m".repeat(300)}`,
                "Retried by support",
                "Attempt 1 started (run 3)",
                "Completed"
              ]
              assert.deepStrictEqual(await story(page), told)
              // What came later came as events.
              assert.lengthOf(histories, 1)

              await page.setViewportSize({ width: 320, height: 640 })
              await page.reload()
              await step(page, "Completed").waitFor()
              assert.deepStrictEqual(await story(page), told)
              for (const element of ["documentElement", "querySelector('#panel')"]) {
                assert.isAtMost(await page.evaluate<number>(`document.${element}.scrollWidth`), 320)
              }
            }),
          /status of 401/,
          { state: "Needs a key" }
        )
      })
  )

  it.scopedLive("what happened while the service was killed and the page was away is there, once, as events", () =>
    withPage(
      slow,
      ({ page, restart, service }) =>
        Effect.gen(function* () {
          const streams = askedOf(page, "/api/events")
          const histories = askedOf(page, "/api/order/1/history")
          yield* Effect.promise(async () => {
            await post(service.url, aNewOrder(1))
            await row(page, 1).getByText("Processing").waitFor()
            await page.goto(`${service.url}/#order=1`)
            await step(page, "Attempt 1 started").waitFor()
          })
          const reconnect = yield* Effect.promise(() => cutOff(page))
          yield* kill(service)
          const { url } = yield* restart()
          yield* Effect.promise(async () => {
            await lost(page)
            await act(url, "cancel", 1)
            await act(url, "retry", 1)
            await post(url, aNewOrder(2))
            await reconnect()
            await live(page)
            await step(page, "Retried").waitFor()
            const told = await story(page)
            const changes = await idsOf(url, "&order_id=1")
            assert.lengthOf(told, changes.length)
            assert.includeMembers(told, ["Accepted", "Attempt 1 started", "Cancelled", "Retried"])
            assert.isTrue(told.some((line) => line.startsWith("Lost with the process; worker_lost")))
            assert.lengthOf(histories, 1)
            assert.match(streams.at(-1) ?? "", /^\?after=[1-9]\d*$/)
            assert.strictEqual(await page.locator("#panel-message").innerText(), "")
            await page.keyboard.press("Escape")
            await row(page, 2).waitFor()
          })
        }),
      /ERR_/
    )
  )

  browsing(
    "behind a thousand missed changes the page begins anew, and reads what it shows",
    slow,
    async ({ page, service: { url } }) => {
      await post(url, aNewOrder(1))
      await row(page, 1).getByText("Processing").waitFor()
      await page.goto(`${url}/#order=1`)
      await step(page, "Attempt 1 started").waitFor()
      const streams = askedOf(page, "/api/events")
      const reconnect = await cutOff(page)
      // A new stream, which cannot be opened.
      await page.evaluate(`document.dispatchEvent(new Event("visibilitychange"))`)
      await lost(page)
      await act(url, "cancel", 1)
      await submitMany(url, orders(2, 1500))
      // The time of an answer is in whole seconds.
      await page.waitForTimeout(1100)
      streams.length = 0
      await reconnect()
      await step(page, "Cancelled").waitFor()
      assert.deepStrictEqual(await story(page), ["Accepted", "Attempt 1 started", "Cancelled"])
      await page.keyboard.press("Escape")
      await row(page, 1501).waitFor()
      assert.match(streams[0] ?? "", /^\?after=[1-9]\d*$/)
      assert.strictEqual(streams[1], "")
      await live(page)
      await act(url, "cancel", 1501)
      await row(page, 1501).getByText("Cancelled").waitFor()
    },
    /ERR_/
  )

  it.scopedLive("a service that does not keep what came next has the page read its state", () =>
    withPage(
      slow,
      ({ page, service }) =>
        Effect.gen(function* () {
          yield* Effect.promise(async () => {
            await submitMany(service.url, orders(1, 3))
            await row(page, 3).waitFor()
          })
          yield* kill(service)
          const streams = askedOf(page, "/api/events")
          // Another database, which has no change of that id.
          yield* startService(yield* temporaryFolder, { ...slow, PORT: new URL(service.url).port })
          yield* Effect.promise(async () => {
            await page.getByText("No orders here yet.").waitFor()
            await live(page)
            assert.match(streams[0] ?? "", /^\?after=[1-9]\d*$/)
            assert.include(streams, "")
          })
        }),
      /ERR_/
    )
  )

  browsing(
    "where no history is kept the story is what the order says, live too",
    { ...slow, HISTORY: "off" },
    async ({ page, service: { url } }) => {
      await post(url, aNewOrder(1))
      await row(page, 1).getByText("Processing").waitFor()
      await page.goto(`${url}/#order=1`)
      await step(page, "Started").waitFor()
      assert.deepStrictEqual(await story(page), ["Accepted", "Started"])
      await page.getByRole("button", { name: "Cancel order" }).click()
      await step(page, "Cancelled").waitFor()
      assert.deepStrictEqual(await story(page), ["Accepted", "Started", "Cancelled"])
    }
  )

  browsing("of hundreds of changes the last are shown, and more by the button", slow, async ({ page, service }) => {
    await submitMany(service.url, orders(1, 2))
    for (let round = 0; round < 260; round++) {
      await act(service.url, "cancel", 2)
      await act(service.url, "retry", 2)
    }
    await page.goto(`${service.url}/#order=2`)
    const items = page.locator("#panel-story li")
    const earlier = page.locator("#panel-earlier")
    await items.nth(24).waitFor()
    assert.strictEqual(await items.count(), 25)
    assert.strictEqual(await earlier.innerText(), "Show 100 of 496 earlier changes")
    // A live one takes the place of the first.
    await page.getByRole("button", { name: "Cancel order" }).click()
    await page.getByText("Show 100 of 497 earlier changes").waitFor()
    assert.strictEqual(await items.count(), 25)
    assert.strictEqual((await story(page)).at(-1), "Cancelled")
    for (const left of ["100 of 397", "100 of 297", "100 of 197", "97"]) {
      await earlier.press("Enter")
      await page.getByText(`Show ${left} earlier changes`).waitFor()
    }
    await earlier.press("Enter")
    await earlier.waitFor({ state: "hidden" })
    assert.strictEqual(await page.evaluate("document.activeElement.id"), "story-heading")
    assert.strictEqual(await items.count(), 522)
    assert.strictEqual((await story(page))[0], "Accepted")
  })

  it.scopedLive("an EventSource of the browser goes on by itself, and has each change once", () =>
    withPage(
      slow,
      ({ page, restart, service }) =>
        Effect.gen(function* () {
          yield* Effect.promise(async () => {
            await page.evaluate(`new Promise((resolve) => {
              window.seen = []
              const events = new EventSource("/api/events")
              events.addEventListener("order", ({ data, lastEventId }) => {
                window.seen.push([JSON.parse(data).id, Number(lastEventId)])
              })
              events.onopen = resolve
            })`)
            await submitMany(service.url, orders(1, 5))
          })
          const sees = (condition: string) =>
            until(() => page.evaluate<boolean>(`window.seen.some(([id]) => ${condition})`))
          yield* sees("id === 6")
          yield* kill(service)
          // At its start it finds that an order was lost: before a stream can be opened.
          const { url } = yield* restart()
          yield* Effect.promise(async () => {
            await act(url, "cancel", 1)
            await submitMany(url, orders(6, 5))
          })
          const all = yield* Effect.promise(() => idsOf(url))
          yield* sees(`id === ${all.at(-1)}`)
          assert.deepStrictEqual(
            yield* Effect.promise(() => page.evaluate<Array<[number, number]>>("window.seen")),
            Array.from({ length: all.length }, (_, index) => [index + 1, index + 1])
          )
        }),
      /ERR_/
    )
  )
})
