import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { version } from "../src/api/Version.ts"
import { lastDays } from "../src/NodeWarnings.ts"
import { selfSigned } from "./support/Certificate.ts"
import { answer, startEndpoint } from "./support/Endpoint.ts"
import { aNewOrder, clockAhead, post, type ServiceProcess, startService } from "./support/ServiceProcess.ts"
import { temporaryFolder } from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

/** Every line on standard output, which has to be JSON. */
const entriesOf = ({ output }: ServiceProcess) =>
  output.stdout
    .trimEnd()
    .split("\n")
    .map((line): Record<string, unknown> => JSON.parse(line))

const warningsOf = (service: ServiceProcess) =>
  entriesOf(service)
    .filter(({ level }) => level === "WARN")
    .map(({ message }) => String(message))

const from = (date: string) => clockAhead(Date.parse(date) - Date.now())
const line = process.versions.node.split(".")[0] ?? ""
const ending = `Node ${line} has had no security fixes since ${lastDays[line]}`

describe("the start", () => {
  it.scopedLive("warns of a Node past its end of life, behind the first line, by the service's clock", () =>
    Effect.gen(function* () {
      const late = yield* startService(yield* temporaryFolder, from("2040-01-01"))
      const warned = entriesOf(late).filter(({ message }) => String(message).startsWith(ending))
      assert.deepStrictEqual(
        warned.map(({ level }) => level),
        ["WARN"]
      )
      const messages = entriesOf(late).map(({ message }) => message)
      assert.isBelow(messages.indexOf(`Orders ${version} starts`), messages.indexOf(warned[0]?.message))

      const early = yield* startService(yield* temporaryFolder, from("2026-01-01"))
      assert.deepStrictEqual(warningsOf(early), ["PROCESSOR=simulated: orders are only pretended to be processed"])
    })
  )

  it.scopedLive("warns when no certificate is checked, and does what it says instead without a warning", () =>
    Effect.gen(function* () {
      const { cert, file, key } = yield* selfSigned
      const { url } = yield* startEndpoint(answer(200), { tls: { key, cert } })
      const settings = {
        ...from("2026-01-01"),
        PROCESSOR: "webhook",
        WEBHOOK_URL: url.href,
        WEBHOOK_SECRET: Buffer.alloc(24).toString("base64")
      }
      const completes = (env: Record<string, string>) =>
        Effect.gen(function* () {
          const service = yield* startService(yield* temporaryFolder, { ...settings, ...env })
          yield* Effect.promise(() => post(service.url, aNewOrder(1)))
          yield* until(async () => (await (await fetch(`${service.url}/api/order/1`)).text()).includes('"Completed"'))
          return service
        })

      const unsafe = yield* completes({ NODE_TLS_REJECT_UNAUTHORIZED: "0" })
      const [warning = "", ...others] = warningsOf(unsafe)
      assert.match(warning, /^NODE_TLS_REJECT_UNAUTHORIZED=0: no certificate is checked.* NODE_EXTRA_CA_CERTS$/)
      assert.deepStrictEqual(others, [])

      const safe = yield* completes({ NODE_EXTRA_CA_CERTS: file })
      assert.deepStrictEqual(warningsOf(safe), [])
      assert.strictEqual(safe.output.stderr, "")
    })
  )
})
