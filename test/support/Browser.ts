import * as Fs from "node:fs"
import { afterAll, assert, beforeAll, describe } from "@effect/vitest"
import { Effect } from "effect"
import { type Browser, chromium, type Page } from "playwright-core"

/** The Chromium of this machine. Without one, what needs it is skipped. */
const executablePath = [
  process.env.CHROMIUM ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome"
].find((path) => path !== "" && Fs.existsSync(path))

const args = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A name that somebody else points at this machine.
  "--host-resolver-rules=MAP evil.test 127.0.0.1"
]

const viewport = { width: 1280, height: 800 }

let browser: Browser | undefined
let page: Page | undefined

/** The tests in a browser, all of them in the same one. Where there is none, the name says what is missing. */
export const inBrowser = (name: string, tests: () => void) =>
  describe.skipIf(executablePath === undefined)(
    `${name}${executablePath ? "" : " (no Chromium found: set CHROMIUM to its path)"}`,
    () => {
      beforeAll(async () => {
        browser = await chromium.launch({ executablePath: executablePath ?? "", args, timeout: 100_000 })
      })
      afterAll(() => browser?.close())
      tests()
    }
  )

/** Leaves the page as a new one is. It is closed where that fails, for the next test opens another. */
const leave = async (page: Page) => {
  page.removeAllListeners()
  await page.unrouteAll({ behavior: "ignoreErrors" })
  await page.evaluate("localStorage.clear(); sessionStorage.clear()").catch(() => {})
  await page.mouse.move(0, 0)
  await page.goto("about:blank")
  await page.setViewportSize(viewport)
  await page.emulateMedia({ colorScheme: null, reducedMotion: null })
}

/** The one page of all tests in the browser: opening a page costs more than most of them. Each has its own origin in it. */
export const openPage = Effect.acquireRelease(
  Effect.promise(async () => {
    if (page === undefined || page.isClosed()) page = await browser?.newPage({ viewport })
    return page ?? assert.fail("not in a browser")
  }),
  (page) => Effect.promise(() => leave(page).catch(() => page.close()))
)
