import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { inBrowser } from "../support/Browser.ts"
import { withPage } from "../support/DashboardPage.ts"
import { answer, startEndpoint } from "../support/Endpoint.ts"
import { aNewOrder, post } from "../support/ServiceProcess.ts"

const hebrew = "שגיאה"
const evil = `${hebrew}\u202e\u2066\u200b\u009b31m\u001b[2J\u2028\u{e0041}`
const shown = `${hebrew}\\u202e\\u2066\\u200b\\u009b31m\\u001b[2J\\u2028`

/** Every text and attribute of the page in which a character is not seen, but for its own line breaks. */
const hiddenOnes = String.raw`(() => {
  const hidden = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
  const found = []
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) if (hidden.test(texts.currentNode.data)) found.push(texts.currentNode.data)
  for (const element of document.body.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) if (hidden.test(value)) found.push(name + "=" + value)
  }
  return found
})()`

/** What in the element is written in Hebrew and yet not isolated from the text beside it. */
const mingled = (selector: string) => `(() => {
  const element = document.querySelector(${JSON.stringify(selector)})
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT)
  const found = []
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode
    const style = getComputedStyle(parentElement)
    const isAlone = parentElement.childNodes.length === 1
    if (data.includes("${hebrew}") && !(isAlone && (style.unicodeBidi === "isolate" || style.display === "block"))) found.push(data)
  }
  return found
})()`

inBrowser("Texts from outside on the page", () => {
  it.scopedLive("are seen to the last character, and turn nothing round beside them", () =>
    Effect.gen(function* () {
      const shop = yield* startEndpoint(answer(422, JSON.stringify({ code: hebrew, message: `${evil}\n2` })))
      const settings = {
        PROCESSOR: "webhook",
        WEBHOOK_URL: shop.url.href,
        WEBHOOK_SECRET: Buffer.alloc(32).toString("base64")
      }
      yield* withPage(settings, ({ page, service: { url } }) =>
        Effect.promise(async () => {
          const isClean = async (...selectors: ReadonlyArray<string>) => {
            assert.deepStrictEqual(await page.evaluate(hiddenOnes), [])
            for (const selector of selectors)
              assert.deepStrictEqual(await page.evaluate(mingled(selector)), [], selector)
          }
          await post(url, { ...aNewOrder(1), metadata: { [hebrew]: evil, note: hebrew } })
          const group = page.locator("#failures li")
          await group.getByRole("link", { name: hebrew }).click()
          await page.getByRole("heading", { name: `Failed with ${hebrew}` }).waitFor()
          await page.locator("#rows").getByText("Failed").waitFor()
          await isClean("#failures", "#orders-heading")

          await group.getByRole("button").click()
          await page.getByText(`failed with “${hebrew}” becomes`).waitFor()
          await isClean("#confirm")
          await page.keyboard.press("Escape")

          await page.locator("#rows").getByRole("link", { name: "1" }).click()
          await page.locator("#panel-metadata").getByText(`"${hebrew}"`).first().waitFor()
          assert.include(await page.locator("#panel-error-message").innerText(), `${shown}\\u{e0041}\n2`)
          const metadata = await page.locator("#panel-metadata pre").innerText()
          assert.include(metadata, `${shown}\\udb40\\udc41"`)
          assert.deepStrictEqual(JSON.parse(metadata), { [hebrew]: evil, note: hebrew })
          await isClean("#panel", "#panel-story")

          // An address may hold anything.
          const address = new URLSearchParams({ order: evil, error_code: evil, status: evil }).toString()
          await page.goto(`${url}/#${address}`)
          await page.getByRole("heading", { name: `Order ${shown}` }).waitFor()
          await page.getByText(`There is no status “${shown}`).waitFor()
          await isClean("#panel-heading", "#orders-message", "#orders-heading")
        })
      )
    })
  )
})
