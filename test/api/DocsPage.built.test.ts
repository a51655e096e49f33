import * as Http from "node:http"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import packageJson from "../../package.json" with { type: "json" }
import { inBrowser, openPage } from "../support/Browser.ts"
import { keysFile } from "../support/ProtectedService.ts"
import { startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

const prefix = "/internal/orders"

/** A proxy that has the service below a path prefix, as proxies have it: the prefix is taken off, the Host stays. */
const startProxy = (target: string) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly server: Http.Server }>((resume) => {
      const server = Http.createServer((request, response) => {
        const { headers, method, url = "" } = request
        if (!url.startsWith(`${prefix}/`)) return response.writeHead(404).end()
        const inner = Http.request(`${target}${url.slice(prefix.length)}`, { method, headers }, (answer) => {
          answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers))
        })
        request.pipe(inner.on("error", () => response.destroy()))
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, server }))
      })
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )

/** Has the page send its example of an order: the status of the answer. */
const tryOut = async (page: Page, base: string) => {
  const submission = page.locator(".opblock", { hasText: "Submit an order" })
  await submission.locator(".opblock-summary").click()
  await submission.getByRole("button", { name: "Try it out" }).click()
  const answered = page.waitForResponse((response) => response.request().method() === "POST")
  await submission.getByRole("button", { name: "Execute" }).click()
  const response = await answered
  assert.strictEqual(response.url(), `${base}/api/order`)
  const status = response.status()
  await submission.locator(".live-responses-table .response-col_status", { hasText: String(status) }).waitFor()
  return status
}

inBrowser("The docs page in a browser", () => {
  for (const [name, path] of [
    ["below a path prefix", prefix],
    ["at the root", ""]
  ] as const) {
    it.scopedLive(`tries the API out ${name}, and has the version of the package`, () =>
      Effect.gen(function* () {
        const service = yield* startService(yield* temporaryFolder)
        const proxy = yield* startProxy(service.url)
        const base = path === "" ? service.url : `${proxy.url}${path}`
        const page = yield* openPage
        yield* Effect.promise(async () => {
          page.setDefaultTimeout(100_000)
          await page.goto(`${base}/docs`)
          assert.strictEqual(await tryOut(page, base), 202)
          const version = await page.locator(".info .version").first().textContent()
          assert.strictEqual(version?.trim(), packageJson.version)
        })
      })
    )
  }

  it.scopedLive("sends a key to a service that asks for one", () =>
    Effect.gen(function* () {
      const { file, key } = yield* keysFile({ shop: ["submit"] })
      const { url } = yield* startService(yield* temporaryFolder, { API_KEYS_FILE: file })
      const page = yield* openPage
      yield* Effect.promise(async () => {
        page.setDefaultTimeout(100_000)
        await page.goto(`${url}/docs`)
        await page.locator(".auth-wrapper button.authorize").click()
        const dialog = page.locator(".dialog-ux")
        await dialog.locator("input").fill(key("shop"))
        await dialog.getByRole("button", { name: "Apply credentials" }).click()
        await dialog.getByRole("button", { name: "Close" }).first().click()
        assert.strictEqual(await tryOut(page, url), 202)
        await page.reload()
        assert.strictEqual(await tryOut(page, url), 401)
      })
    })
  )
})
