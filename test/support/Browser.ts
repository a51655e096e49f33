import * as Fs from "node:fs"
import { afterAll, assert, beforeAll, describe } from "@effect/vitest"
import { Effect } from "effect"
import { type Browser, type BrowserContextOptions, chromium } from "playwright-core"

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
  "--disable-sync"
]

let browser: Browser | undefined

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

/** A page that shares no storage and no cache with others. */
export const openPage = (options: BrowserContextOptions = {}) =>
  Effect.acquireRelease(
    Effect.promise(() => browser?.newPage(options) ?? assert.fail("not in a browser")),
    (page) => Effect.promise(() => page.close())
  )
