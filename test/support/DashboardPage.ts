import { assert, it } from "@effect/vitest"
import * as axe from "axe-core"
import { Effect, Schema, type Scope } from "effect"
import type { Page } from "playwright-core"
import { ServiceMetrics } from "../../src/api/Answers.ts"
import { openPage } from "./Browser.ts"
import { aNewOrder, type ServiceProcess, startService } from "./ServiceProcess.ts"
import { temporaryFolder } from "./TestLayers.ts"

export const fast = { PROCESSING_TIME: "50 millis" }
export const failing = { ...fast, PROCESSING_FAILURES: "1", MAX_ATTEMPTS: "1" }
/** Nothing ends by itself. */
export const slow = { PROCESSING_TIME: "1 hour", ATTEMPT_TIMEOUT: "2 hours", SHUTDOWN_GRACE: "0 millis", WORKERS: "1" }

export const submitMany = (url: string, orders: ReadonlyArray<object>) =>
  fetch(`${url}/api/orders`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(orders)
  })

const readMetrics = Schema.decodeUnknownPromise(ServiceMetrics)

export const metricsOf = async (url: string) => readMetrics(await (await fetch(`${url}/api/metrics`)).json())

export const orders = (from: number, count: number, rest: object = {}) =>
  Array.from({ length: count }, (_, index) => ({ ...aNewOrder(from + index), ...rest }))

export interface Opened {
  readonly page: Page
  readonly service: ServiceProcess
  readonly folder: string
  /** Starts the service again where it was. */
  readonly restart: (settings?: Record<string, string>) => Effect.Effect<ServiceProcess, never, Scope.Scope>
}

/** Where the page is opened, and what it says of its connection then. */
interface Entrance {
  readonly behind?: (service: ServiceProcess) => Effect.Effect<string, never, Scope.Scope>
  readonly state?: string
}

/** Opens the dashboard of a service; at the end it must have asked this service alone and logged no error. */
export const withPage = <A, E>(
  settings: Record<string, string>,
  use: (opened: Opened) => Effect.Effect<A, E, Scope.Scope>,
  expected = /^$/,
  { behind = ({ url }) => Effect.succeed(url), state = "Live" }: Entrance = {}
) =>
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const service = yield* startService(folder, settings)
    const url = yield* behind(service)
    const page = yield* openPage
    page.setDefaultTimeout(100_000)
    const faults: Array<string> = []
    page.on("console", (message) => {
      const text = `${message.text()} ${message.location().url}`
      if (message.type() === "error" && !expected.test(text)) faults.push(text)
    })
    page.on("pageerror", (error) => faults.push(String(error)))
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== url) faults.push(`asked ${request.url()}`)
    })
    yield* Effect.promise(async () => {
      await page.goto(url)
      await page.locator("#connection").getByText(state, { exact: true }).waitFor()
    })
    const restart = (again = settings) => startService(folder, { ...again, PORT: new URL(service.url).port })
    yield* use({ page, service, folder, restart })
    assert.deepStrictEqual(faults, [])
  })

/** A test of steps in the browser. */
export const browsing = (
  name: string,
  settings: Record<string, string>,
  run: (opened: Opened) => Promise<void>,
  expected?: RegExp,
  timeout?: number
) => it.scopedLive(name, () => withPage(settings, (opened) => Effect.promise(() => run(opened)), expected), timeout)

export const row = (page: Page, id: string | number) =>
  page.locator("#rows tr", { has: page.getByRole("link", { name: String(id), exact: true }) })

export const kill = ({ child, exited }: ServiceProcess) =>
  Effect.zipRight(
    Effect.sync(() => child.kill("SIGKILL")),
    exited
  )

export const findings = async (page: Page) => {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<axe.AxeResults>("axe.run()")
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)
}
