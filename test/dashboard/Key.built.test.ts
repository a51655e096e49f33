import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { Page } from "playwright-core"
import { randomKey } from "../../src/access/ApiKey.ts"
import * as ApiScope from "../../src/api/Scope.ts"
import { scopes } from "../../src/dashboard/Scopes.ts"
import { inBrowser } from "../support/Browser.ts"
import { findings, type Opened, row, slow, withPage } from "../support/DashboardPage.ts"
import { type KeyLines, keysFile } from "../support/ProtectedService.ts"
import { aNewOrder } from "../support/ServiceProcess.ts"
import { until } from "../support/Until.ts"

interface Guarded extends Opened {
  readonly url: string
  readonly key: (name: string) => string
  /** Other keys, which the service has taken when it is done. */
  readonly change: (lines: KeyLines) => Effect.Effect<void>
  /** Enters a key into the page. */
  readonly enter: (key: string) => Promise<void>
  readonly submit: (...ids: ReadonlyArray<number>) => Promise<void>
}

const all = { all: [scopes.join()] } as const

const dialogOf = (page: Page) => page.getByRole("dialog", { name: "A key is needed" })

/** The page of a service with keys; it logs what was refused, and no more than that. */
const guarded = (
  name: string,
  lines: KeyLines,
  run: (guarded: Guarded) => Effect.Effect<void, never, Scope.Scope> | Promise<void>,
  settings: Record<string, string> = slow
) =>
  it.scopedLive(name, () =>
    Effect.gen(function* () {
      const { file, key, write } = yield* keysFile({ ...all, ...lines })
      yield* withPage(
        { ...settings, API_KEYS_FILE: file },
        (opened) => {
          const { page, service } = opened
          const enter = async (given: string) => {
            await dialogOf(page).getByLabel("Key").fill(given)
            await page.keyboard.press("Enter")
          }
          const submit = async (...ids: ReadonlyArray<number>) => {
            const answer = await fetch(`${service.url}/api/orders`, {
              method: "POST",
              headers: { "content-type": "application/json", authorization: `Bearer ${key("all")}` },
              body: JSON.stringify(ids.map(aNewOrder))
            })
            assert.strictEqual(answer.status, 200)
          }
          const change = (lines: KeyLines) =>
            Effect.suspend(() => {
              const readings = () => service.output.stdout.split("Keys read again").length
              const before = readings()
              write(lines)
              service.child.kill("SIGHUP")
              return until(() => readings() > before)
            })
          const done = run({ ...opened, url: service.url, key, change, enter, submit })
          return done instanceof Promise ? Effect.promise(() => done) : done
        },
        /status of (401|403|429)|ERR_/,
        { state: "Needs a key" }
      )
    })
  )

/** What the page sends and to where, from now on. */
const sentBy = (page: Page) => {
  const sent: Array<{ readonly path: string; readonly authorization: string | undefined }> = []
  page.on("request", (request) => {
    const { authorization } = request.headers()
    sent.push({ path: new URL(request.url()).pathname, authorization })
  })
  return sent
}

const live = (page: Page) => page.locator("#connection").getByText("Live", { exact: true }).waitFor()

describe("The scopes of the page", () => {
  it("are those of the API", () => assert.sameMembers([...scopes], [...ApiScope.scopes]))
})

inBrowser("Dashboard of a service with keys", () => {
  guarded("asks for a key, takes a right one, and shows whose it is", {}, async ({ enter, key, page, submit, url }) => {
    await submit(1)
    const dialog = dialogOf(page)
    await dialog.getByText("This service asks for a key.").waitFor()
    assert.isTrue(await page.locator("main").isHidden())
    assert.strictEqual(await page.evaluate("document.activeElement.id"), "key-input")
    const sent = sentBy(page)
    await page.waitForTimeout(2500)
    assert.deepStrictEqual(sent, [])

    await enter("no key")
    await dialog.getByText("This is no key").waitFor()
    assert.deepStrictEqual(sent, [])
    await enter(randomKey())
    await dialog.getByText("This key is not one of this service.").waitFor()
    await page.waitForTimeout(2500)
    assert.lengthOf(sent, 1)

    await enter(` ${key("all")} `)
    await live(page)
    await dialog.waitFor({ state: "hidden" })
    await row(page, 1).waitFor()
    // Events come by the same way.
    await submit(2)
    await row(page, 2).waitFor()
    const asked = new Set(sent.slice(1).flatMap(({ authorization, path }) => (authorization ? [path] : [])))
    assert.includeMembers([...asked], ["/api/key", "/api/metrics", "/api/orders", "/api/events"])
    assert.notInclude([...asked], "/readyz")

    await page.getByRole("button", { name: "Key", exact: true }).click()
    await page.getByText("submit, read, operate, metrics").waitFor()
    await page.locator("#key-name").getByText("all", { exact: true }).waitFor()
    const content = await page.content()
    const fields = await page.evaluate<string>("document.querySelector('#key-input').value")
    assert.notInclude(`${content} ${page.url()} ${fields}`, "ord_")
    assert.strictEqual(await page.evaluate("history.length + document.cookie + localStorage.length"), "20")
    assert.strictEqual(new URL(page.url()).origin, url)
  })

  guarded("is kept over a reload, not by another tab, and forgotten on request", {}, async (opened) => {
    const { enter, key, page, submit } = opened
    await submit(1)
    await enter(key("all"))
    await row(page, 1).waitFor()
    await page.reload()
    await row(page, 1).waitFor()

    const [tab] = await Promise.all([
      page.context().waitForEvent("page"),
      page.evaluate("void window.open(location.href, '_blank', 'noopener')")
    ])
    await dialogOf(tab).waitFor()
    await tab.close()

    await page.getByRole("button", { name: "Key", exact: true }).click()
    await page.getByRole("button", { name: "Forget the key" }).click()
    await dialogOf(page).getByText("This service asks for a key.").waitFor()
    assert.isTrue(await page.locator("main").isHidden())
    assert.notInclude(await page.evaluate<string>("JSON.stringify(sessionStorage)"), "ord_")
  })

  guarded("can be left alone by keyboard, and asked again", {}, async ({ enter, key, page }) => {
    await page.keyboard.press("Escape")
    await dialogOf(page).waitFor({ state: "hidden" })
    await page.getByText("Needs a key").waitFor()
    const button = page.getByRole("button", { name: "Enter a key" })
    await button.focus()
    await page.keyboard.press("Enter")
    await dialogOf(page).waitFor()
    await page.keyboard.press("Tab")
    assert.strictEqual(await page.evaluate("document.activeElement.id"), "key-later")
    await page.keyboard.press("Enter")
    await dialogOf(page).waitFor({ state: "hidden" })
    await button.click()
    await enter(key("all"))
    await live(page)
    assert.isTrue(await button.isHidden())
  })

  guarded("asks again when the key is taken away, and keeps what it shows", { ops: [scopes.join()] }, (opened) =>
    Effect.gen(function* () {
      const { change, enter, key, page, submit } = opened
      yield* Effect.promise(async () => {
        await submit(1, 2)
        await enter(key("ops"))
        await row(page, 1).getByRole("link").click()
        await page.getByRole("dialog", { name: "Order 1" }).getByText("9.99").waitFor()
      })
      const sent = sentBy(page)
      yield* change(all)
      yield* Effect.promise(async () => {
        await dialogOf(page).getByText("This key is not one of this service.").waitFor()
        await page
          .locator("#alarm-text")
          .getByText("A key is needed. What you see is as of")
          .waitFor({ state: "attached" })
        const { length } = sent
        await page.waitForTimeout(2500)
        assert.isAtMost(sent.length - length, 1)
        assert.strictEqual(new URL(page.url()).hash, "#order=1")
        await enter(key("all"))
        await dialogOf(page).waitFor({ state: "hidden" })
        const panel = page.getByRole("dialog", { name: "Order 1" })
        await panel.getByRole("button", { name: "Cancel order" }).click()
        await page.getByText("Order 1 is cancelled.").waitFor()
        await page.keyboard.press("Escape")
        await live(page)
        await row(page, 1).getByText("Cancelled").waitFor()
      })
    })
  )

  const parts = {
    metrics: ["#counts", ".throughput", ".load"],
    read: [".list", ".failing"],
    operate: ["#panel-cancel", "#retry-all"],
    submit: ["#sample"]
  }
  for (const scope of scopes) {
    const others = scopes.filter((other) => other !== scope)
    guarded(
      `leaves out what needs the scope ${scope}, and asks for none of it`,
      { lesser: [others.join()] },
      async (opened) => {
        const { enter, key, page, submit, url } = opened
        await submit(1)
        const sent = sentBy(page)
        await enter(key("lesser"))
        await page.locator("#calm:visible, #simulated:visible").first().waitFor()
        await page.goto(`${url}/#order=1`)
        if (scope === "read") await page.waitForTimeout(2500)
        else await page.getByRole("dialog", { name: "Order 1" }).getByText("9.99").waitFor()
        for (const [needed, selectors] of Object.entries(parts)) {
          for (const selector of selectors) {
            const style = `getComputedStyle(document.querySelector("${selector}")).display`
            const isOut = (await page.evaluate<string>(style)) === "none"
            // Whether the sample can be submitted is known from the metrics.
            const isUnknown = selector === "#sample" && scope === "metrics"
            assert.strictEqual(isOut, needed === scope || isUnknown, `${selector} without ${scope}`)
          }
        }
        const asked = new Set(sent.map(({ path }) => path))
        if (scope === "metrics") {
          assert.notInclude([...asked], "/api/metrics")
          await live(page)
          await page.keyboard.press("Escape")
          await page.getByText("The service is ready.").waitFor()
          await submit(2)
          await row(page, 2).waitFor()
        }
        if (scope === "read") {
          for (const path of ["/api/orders", "/api/events", "/api/failures", "/api/order/1"]) {
            assert.notInclude([...asked], path)
          }
          assert.isTrue(await page.locator("#panel").isHidden())
          await page.locator("#connection").getByText("Read each second").waitFor()
          await page.locator(".count", { hasText: "Processing" }).getByText("1", { exact: true }).waitFor()
        }
      }
    )
  }

  guarded("leaves out quietly what a key is not good for any more", { ops: [scopes.join()] }, (opened) =>
    Effect.gen(function* () {
      const { change, enter, key, page, submit } = opened
      yield* Effect.promise(async () => {
        await submit(1)
        await enter(key("ops"))
        await row(page, 1).waitFor()
        await page.locator(".throughput").waitFor()
      })
      yield* change({ ...all, ops: ["read"] })
      yield* Effect.promise(async () => {
        await page.locator(".throughput").waitFor({ state: "hidden" })
        assert.isTrue(await dialogOf(page).isHidden())
        assert.strictEqual(await page.locator("#notices").innerText(), "")
        await submit(2)
        await row(page, 2).waitFor()
      })
    })
  )

  guarded(
    "waits as long as a key with a rate is asked to, and says so",
    { slow: [scopes.join(), "rate=8/min"] },
    async (opened) => {
      const { enter, key, page } = opened
      await enter(key("slow"))
      await page.locator("#connection").getByText("Waiting", { exact: true }).waitFor()
      await page.locator("#alarm-text").getByText("Too many requests.").waitFor()
      const sent = sentBy(page)
      await page.waitForTimeout(4000)
      assert.isAtMost(sent.filter(({ path }) => path.startsWith("/api/")).length, 1)
    }
  )

  guarded(
    "says that too many wrong keys came, and takes a right one all the same",
    {},
    async ({ enter, key, page }) => {
      for (let count = 0; count < 10; count++) {
        await enter(randomKey())
        await page.locator("#key-use:not([aria-disabled])").waitFor()
      }
      await enter(randomKey())
      await dialogOf(page).getByText("Too many wrong keys came from this address.").waitFor()
      await enter(key("all"))
      await live(page)
    }
  )

  for (const theme of ["light", "dark"] as const) {
    guarded(
      `${theme}, on a phone: the question and the menu are whole, and axe finds nothing serious`,
      {},
      async (opened) => {
        const { enter, key, page } = opened
        await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" })
        await page.setViewportSize({ width: 360, height: 740 })
        const fits = async (selector: string) => {
          const box = await page.locator(selector).boundingBox()
          assert.isTrue(box !== null && box.x >= 0 && box.x + box.width <= 360, `${selector} ${JSON.stringify(box)}`)
          assert.isAtMost(await page.evaluate<number>("document.documentElement.scrollWidth"), 360)
        }
        await fits("#key-dialog")
        assert.deepStrictEqual(await findings(page), [])
        await enter(randomKey())
        await dialogOf(page).getByText("This key is not one").waitFor()
        assert.deepStrictEqual(await findings(page), [])
        await page.keyboard.press("Escape")
        await fits("#enter-key")
        await page.locator("#enter-key").click()
        await enter(key("all"))
        await live(page)
        await page.getByRole("button", { name: "Key", exact: true }).click()
        await fits("#key-menu")
        await fits("#theme")
        assert.deepStrictEqual(await findings(page), [])
        await page.keyboard.press("Escape")
        await page.locator("#key-menu").waitFor({ state: "hidden" })
      }
    )
  }

  it.scopedLive("of one without keys asks for none, sends none, and shows no menu", () =>
    withPage(slow, ({ page, service: { url } }) =>
      Effect.promise(async () => {
        await page.evaluate(`sessionStorage.setItem("orders-key /", "ord_${"x".repeat(32)}")`)
        const sent = sentBy(page)
        await page.reload()
        await live(page)
        await page.waitForTimeout(1500)
        assert.isTrue(await page.locator("#key").isHidden())
        assert.isTrue(await page.locator("#enter-key").isHidden())
        const keyed = sent.filter(({ authorization }) => authorization !== undefined)
        assert.deepStrictEqual(
          keyed.map(({ path }) => path),
          ["/api/key"]
        )
        assert.strictEqual(await page.evaluate('sessionStorage.getItem("orders-key /")'), null)
        assert.strictEqual(new URL(page.url()).origin, url)
      })
    )
  )
})
