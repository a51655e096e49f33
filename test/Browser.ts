import * as Fs from "node:fs"
import { Effect } from "effect"
import { type Browser, chromium } from "playwright-core"

/** The Chromium of this machine. Without one, what needs it is skipped. */
export const executablePath = [
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

export const openBrowser = Effect.acquireRelease(
  Effect.promise(
    (): Promise<Browser> => chromium.launch({ executablePath: executablePath ?? "", args, timeout: 100_000 })
  ),
  (browser) => Effect.promise(() => browser.close())
)
