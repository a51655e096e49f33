import { assert } from "@effect/vitest"
import type { Route } from "playwright-core"
import type { NodeJson } from "../../src/dashboard/ApiJson.ts"
import { inBrowser } from "../support/Browser.ts"
import { browsing, fast, findings } from "../support/DashboardPage.ts"
import { calmMetrics } from "./CalmMetrics.ts"

const now = new Date().toISOString()
const nodeOf = (name: string, rest: Partial<NodeJson> = {}): NodeJson => ({
  ...{ name, role: "all", version: "0.1.0", since: now, heard_at: now, alive: true, workers: 20, workers_busy: 7 },
  breaker: calmMetrics.breaker,
  ...rest
})

inBrowser("The nodes in a browser", () => {
  browsing("are shown where there are several, gone ones too, at any width", fast, async ({ page }) => {
    const table = page.locator("#nodes")
    assert.isTrue(await table.isHidden())
    const gone = nodeOf("shop-3-4713-7be2", { alive: false })
    const shown = [
      nodeOf("shop-1-4711-9f3c"),
      nodeOf("shop-2-4712-02aa", { breaker: { ...calmMetrics.breaker, state: "open" } }),
      gone
    ]
    await page.route("**/api/nodes", (route: Route) => route.fulfill({ json: { nodes: shown } }))
    await page.reload()
    for (const width of [1280, 1000, 600, 320]) {
      await page.setViewportSize({ width, height: 800 })
      await table.waitFor()
      assert.deepStrictEqual(
        (await table.locator("tbody tr").allInnerTexts()).map((text) => text.split(/\s*\t\s*/).slice(0, 2)),
        shown.map(({ name }) => [name, "7 of 20"])
      )
      assert.isTrue(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), `wider than ${width}`)
    }
    assert.deepStrictEqual(await table.locator(".state").allInnerTexts(), ["Alive", "Failing", "Gone"])
    assert.deepStrictEqual(await findings(page), [])
    shown.splice(1)
    await table.waitFor({ state: "hidden" })
  })
})
