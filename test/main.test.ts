import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { until } from "./CliProcess.ts"
import { aNewOrder, failToStart, post, startService } from "./ServiceProcess.ts"
import { temporaryFolder } from "./TestLayers.ts"

const isOneLine = (text: string, about: RegExp) => {
  assert.match(text, about)
  assert.strictEqual(text.trimEnd().split("\n").length, 1, text)
}

describe("main", () => {
  it.scopedLive(
    "a second process on the same database ends with one line; after a kill -9 of the first it starts",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const first = yield* startService(folder)
        const second = yield* failToStart(folder)
        assert.strictEqual(second.code, 1)
        isOneLine(second.stderr, /in use by another process/)
        first.child.kill("SIGKILL")
        yield* first.exited
        yield* startService(folder)
      })
  )

  it.scopedLive("a port in use ends the start with one line", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const port = yield* Effect.acquireRelease(
        Effect.async<Net.Server>((resume) => {
          const server = Net.createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      ).pipe(
        Effect.map((server) => server.address()),
        Effect.map((address) => (typeof address === "object" && address ? String(address.port) : ""))
      )
      const { code, stderr } = yield* failToStart(folder, { PORT: port })
      assert.strictEqual(code, 1)
      isOneLine(stderr, new RegExp(`127.0.0.1:${port} is in use`))
    })
  )

  it.scopedLive("each bad setting is one line", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { code, stderr } = yield* failToStart(folder, { PORT: "http", WORKERS: "0", PROCESSING_TIME: "soon" })
      assert.strictEqual(code, 1)
      const lines = stderr.trimEnd().split("\n").sort()
      assert.strictEqual(lines.length, 3, stderr)
      assert.match(lines[0] ?? "", /^PORT: given "http", allowed is a whole number/)
      assert.match(lines[1] ?? "", /^PROCESSING_TIME: given "soon", allowed is a duration/)
      assert.match(lines[2] ?? "", /^WORKERS: given "0", allowed is a whole number/)
    })
  )

  it.scopedLive("PROCESSOR=webhook without its settings is a line each, and none of them shows a secret", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const without = yield* failToStart(folder, { PROCESSOR: "webhook" })
      assert.strictEqual(without.code, 1)
      assert.match(without.stderr, /^WEBHOOK_URL: not given.*\nWEBHOOK_SECRET: not given.*\n$/)

      const secret = Buffer.from("a secret for tests, long enough").toString("base64")
      const bad = yield* failToStart(folder, {
        PROCESSOR: "webhook",
        WEBHOOK_URL: "ftp://user:hunter2@shop.example/",
        WEBHOOK_SECRET: `${secret} hunter3!`,
        LOG_LEVEL: "All"
      })
      assert.strictEqual(bad.code, 1)
      assert.strictEqual(bad.stderr.trimEnd().split("\n").length, 2, bad.stderr)
      assert.match(bad.stderr, /^WEBHOOK_URL: given \(not shown\)/m)
      assert.match(bad.stderr, /^WEBHOOK_SECRET: given \(not shown\)/m)
      for (const word of ["hunter", secret.slice(0, 8), secret.slice(-8)]) {
        assert.notInclude(bad.stdout + bad.stderr, word)
      }
    })
  )

  it.scopedLive("a database that is a text file is one line", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* Effect.promise(() => Fs.writeFile(Path.join(folder, "notes.txt"), "not a database, and long enough\n"))
      const { code, stderr } = yield* failToStart(folder, { DATABASE_URL: "file:notes.txt" })
      assert.strictEqual(code, 1)
      isOneLine(stderr, /notes\.txt: not a SQLite database/)
    })
  )

  it.scopedLive("a second signal within a second changes nothing, a later one ends at once", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const idle = yield* startService(folder)
      idle.child.kill("SIGINT")
      idle.child.kill("SIGINT")
      assert.strictEqual(yield* idle.exited, 0)

      const busy = yield* startService(folder, { PROCESSING_TIME: "1 minute", SHUTDOWN_GRACE: "1 minute" })
      yield* Effect.promise(() => post(busy.url, aNewOrder(1)))
      yield* until(async () => (await (await fetch(`${busy.url}/api/order/1`)).text()).includes('"Processing"'))
      busy.child.kill("SIGTERM")
      // Nobody listens any more once it has heard the first signal.
      yield* until(() =>
        fetch(`${busy.url}/livez`).then(
          () => false,
          () => true
        )
      )
      yield* Effect.sleep("1200 millis")
      busy.child.kill("SIGTERM")
      assert.strictEqual(yield* busy.exited, 143)
    })
  )
})
