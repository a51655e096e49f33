import * as Http from "node:http"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import { inBrowser, openPage } from "../support/Browser.ts"
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

inBrowser("The docs page in a browser", () => {
  for (const [name, path] of [
    ["below a path prefix", prefix],
    ["at the root", ""]
  ] as const) {
    it.scopedLive(`tries the API out ${name}, tells the package's version, and asks for no authorization`, () =>
      Effect.gen(function* () {
        const service = yield* startService(yield* temporaryFolder)
        const proxy = yield* startProxy(service.url)
        const base = path === "" ? service.url : `${proxy.url}${path}`
        const page = yield* openPage
        yield* Effect.promise(async () => {
          page.setDefaultTimeout(100_000)
          await page.goto(`${base}/docs`)
          const submission = page.locator(".opblock", { hasText: "Submit an order" })
          await submission.locator(".opblock-summary").click()
          await submission.getByRole("button", { name: "Try it out" }).click()
          const answered = page.waitForResponse((response) => response.request().method() === "POST")
          await submission.getByRole("button", { name: "Execute" }).click()
          const response = await answered
          assert.strictEqual(response.url(), `${base}/api/order`)
          assert.strictEqual(response.status(), 202)
          await submission.locator(".live-responses-table .response-col_status", { hasText: "202" }).waitFor()

          const version = await page.locator(".info .version").first().textContent()
          assert.strictEqual(version?.trim(), packageJson.version)
          assert.strictEqual(await page.getByText("Authorize").count(), 0)
        })
      })
    )
  }
})
