import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { hashOf, randomKey } from "../src/access/ApiKey.ts"
import { formatKeyLine } from "../src/access/KeyLine.ts"
import { cli } from "./support/CliProcess.ts"
import { answer, startEndpoint } from "./support/Endpoint.ts"
import { aNewOrder, failToStart, startService } from "./support/ServiceProcess.ts"
import { temporaryFolder } from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

/** What receives traces and metrics, and keeps what they say. */
const collector = Effect.acquireRelease(
  Effect.async<{ readonly url: string; readonly server: Http.Server; readonly bodies: Array<string> }>((resume) => {
    const bodies: Array<string> = []
    const server = Http.createServer(async (request, response) => {
      const chunks: Array<Buffer> = []
      for await (const chunk of request) chunks.push(chunk)
      bodies.push(`${request.url} ${Buffer.concat(chunks)}`)
      response.writeHead(200, { "content-type": "application/json" }).end("{}")
    }).listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, server, bodies }))
    })
  }),
  ({ server }) =>
    Effect.sync(() => {
      server.close()
      server.closeAllConnections()
    })
)

const base64 = (text: string) => Buffer.from(text).toString("base64")

const word = () => randomKey().slice(4)

/** Parts of a secret too: a line that has one half of it has too much. */
const parts = (secret: string) => {
  const third = Math.floor(secret.length / 3)
  return [0, third, secret.length - third].map((at) => secret.slice(at, at + third))
}

describe("a run with every secret set", () => {
  it.scopedLive("shows none in its logs, traces, metrics, answers, errors, doctor and command line", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const receiver = yield* collector
      const endpoint = yield* startEndpoint((request, response) => {
        const id = Number(request.sent.order.order_id)
        if (id === 4) return void response.socket?.destroy()
        answer(id === 2 ? 500 : id === 3 ? 422 : 200, JSON.stringify({ code: "sold_out", message: "none" }))(
          request,
          response
        )
      })
      const secrets = {
        webhook: base64("a-secret-that-signs-requests-1"),
        webhookBefore: base64("a-secret-that-signed-requests"),
        path: word(),
        query: word(),
        header: word(),
        user: word(),
        password: word(),
        key: randomKey(),
        unknownKey: randomKey()
      }
      const secretFile = Path.join(folder, "webhook-secret")
      Fs.writeFileSync(secretFile, `whsec_${secrets.webhook}\n${secrets.webhookBefore}\n`, { mode: 0o600 })
      const keyFile = Path.join(folder, "keys")
      const scopes = ["submit", "read", "operate", "metrics"] as const
      Fs.writeFileSync(keyFile, `${formatKeyLine({ name: "shop", scopes, hash: hashOf(secrets.key) }, [])}\n`, {
        mode: 0o600
      })
      const bareKey = Path.join(folder, "bare-key")
      Fs.writeFileSync(bareKey, `${secrets.key}\n${secrets.unknownKey} read ${secrets.key}\n`, { mode: 0o600 })
      const settings = {
        PROCESSOR: "webhook",
        WEBHOOK_URL: `${endpoint.url.href}/${secrets.path}?key=${secrets.query}`,
        WEBHOOK_SECRET_FILE: secretFile,
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        OTEL_EXPORTER_OTLP_HEADERS: `api-key=${secrets.header}`,
        API_KEYS_FILE: keyFile,
        LOG_LEVEL: "All",
        MAX_ATTEMPTS: "2",
        RETRY_BASE: "1 millis"
      }
      const seen: Record<string, string> = {}
      const service = yield* startService(folder, settings)
      const ask = (path: string, init: RequestInit = {}, key: string = secrets.key) =>
        Effect.promise(async () => {
          const headers = { "content-type": "application/json", authorization: `Bearer ${key}` }
          const response = await fetch(service.url + path, { headers, ...init })
          const told = JSON.stringify([...response.headers])
          seen[`${path} ${Object.keys(seen).length}`] = `${response.status} ${told} ${await response.text()}`
          return response.status
        })
      for (const id of [1, 2, 3, 4]) {
        assert.strictEqual(yield* ask("/api/order", { method: "POST", body: JSON.stringify(aNewOrder(id)) }), 202)
        yield* ask(`/api/order/${id}?wait=30`)
      }
      assert.strictEqual(yield* ask("/api/orders", {}, secrets.unknownKey), 401)
      for (const path of ["/metrics", "/api/metrics", "/api/failures", "/readyz?verbose=1", "/api/openapi.json"]) {
        yield* ask(path)
      }
      seen.processes = Fs.readFileSync(`/proc/${service.child.pid}/cmdline`, "utf8")

      const environment = { ...settings, ORDERS_API_KEY: secrets.key }
      for (const words of [["doctor"], ["doctor", "--json"], ["backup", folder]]) {
        const { code, stderr, stdout } = yield* cli(words, { folder, env: environment })
        assert.strictEqual(code, 0, stdout + stderr)
        seen[words.join(" ")] = stdout + stderr
      }
      const address = `postgres://${secrets.user}:${secrets.password}@db.example/orders?password=${secrets.query}`
      const wrong: ReadonlyArray<Record<string, string>> = [
        {},
        { DATABASE_URL: address },
        { OTEL_EXPORTER_OTLP_ENDPOINT: address, ALLOWED_ORIGINS: address, WEBHOOK_URL: address },
        { WEBHOOK_SECRET: secrets.webhook },
        { OTEL_EXPORTER_OTLP_HEADERS: secrets.header },
        { WEBHOOK_SECRET_FILE: secrets.webhook },
        { API_KEYS_FILE: bareKey },
        { PORT: "x" }
      ]
      for (const [index, mistake] of wrong.entries()) {
        const { code, stderr, stdout } = yield* failToStart(folder, { ...settings, ...mistake })
        assert.strictEqual(code, 1)
        assert.notStrictEqual(stderr, "")
        seen[`start ${index}`] = stdout + stderr
      }
      const lost = yield* cli(["metrics"], { folder, env: environment, url: address.replace("postgres", "http") })
      assert.notStrictEqual(lost.code, 0)
      seen["metrics of another"] = lost.stdout + lost.stderr

      service.child.kill("SIGTERM")
      assert.strictEqual(yield* service.exited, 0)
      yield* until(() => receiver.bodies.some((body) => body.startsWith("/v1/metrics")))
      seen.log = service.output.stdout + service.output.stderr
      seen.telemetry = receiver.bodies.join("\n")

      // All of it is there, so what is missing was left out on purpose.
      assert.include(seen.telemetry, "/v1/traces")
      for (const code of ["http_500", "sold_out", "connection_failed"]) assert.include(seen.log, code)
      assert.strictEqual(
        endpoint.requests.some(({ path }) => path.includes(secrets.path)),
        true
      )
      const signatures = endpoint.requests.flatMap(({ headers }) => (headers["webhook-signature"] ?? "").split(/[ ,]/))
      const hidden = [
        ...Object.values(secrets).flatMap((secret) => parts(secret.replace(/^ord_/, ""))),
        ...signatures.filter((text) => text.length > 8)
      ]
      for (const [where, text] of Object.entries(seen)) {
        assert.isNotEmpty(text, where)
        for (const part of hidden) assert.notInclude(text, part, where)
      }
    })
  )
})
