import { spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import packageJson from "../package.json" with { type: "json" }
import { version } from "../src/api/Version.ts"
import { loadDriver } from "../src/store/sqlite/SqliteDriver.ts"
import { closedPort } from "./support/Endpoint.ts"
import { aNewOrder, failToStart, post, type ServiceProcess, startService } from "./support/ServiceProcess.ts"
import { temporaryFolder } from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

const isOneLine = (text: string, about: RegExp) => {
  assert.match(text, about)
  assert.strictEqual(text.trimEnd().split("\n").length, 1, text)
}

const hasIpv6 = Object.values(Os.networkInterfaces()).some((of) => of?.some(({ address }) => address === "::1"))

const hasScript = /util-linux/.test(String(spawnSync("script", ["--version"]).stdout))

const Sqlite = loadDriver()

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

  const entriesOf = ({ output }: ServiceProcess) =>
    output.stdout
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line): Record<string, unknown> => JSON.parse(line))

  it.scopedLive("the start tells what runs on what, and of the webhook no more than the host", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const settings = { PROCESSING_TIME: "1 minute", SHUTDOWN_GRACE: "0 millis", WORKERS: "1" }
      const first = yield* startService(folder, settings)
      for (const id of [1, 2, 3]) yield* Effect.promise(() => post(first.url, aNewOrder(id)))
      first.child.kill("SIGTERM")
      yield* first.exited
      const second = yield* startService(folder, {
        ...settings,
        PROCESSOR: "webhook",
        WEBHOOK_URL: "http://127.0.0.1:9/hidden?token=hidden",
        WEBHOOK_SECRET: `whsec_${Buffer.alloc(24, "hidden").toString("base64")}`
      })
      assert.deepInclude(
        entriesOf(second).find(({ message }) => message === `Orders ${version} starts`),
        {
          level: "INFO",
          version,
          node: process.versions.node,
          database: Path.join(yield* Effect.promise(() => Fs.realpath(folder)), "data/orders.db"),
          processor: "webhook at 127.0.0.1:9",
          backlog: 3
        }
      )
      assert.notInclude(second.output.stdout, "hidden")
    })
  )

  for (const signal of ["SIGHUP", "SIGTERM", "SIGINT"] as const) {
    it.scopedLive(`${signal} ends it in order, and is told at once with what it waits for`, () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const settings = { PROCESSING_TIME: "1 minute", SHUTDOWN_GRACE: "3 seconds" }
        const service = yield* startService(folder, settings)
        for (const id of [1, 2]) yield* Effect.promise(() => post(service.url, aNewOrder(id)))
        yield* until(async () =>
          (await (await fetch(`${service.url}/api/metrics`)).text()).includes('"orders_processing":2')
        )
        service.child.kill(signal)
        yield* until(() => service.output.stdout.includes("again to end now"))
        assert.isNull(service.child.exitCode)
        const told = entriesOf(service).filter(({ message }) => String(message).startsWith("Shutting down"))
        assert.strictEqual(told.length, 1)
        assert.deepInclude(told[0], {
          message: "Shutting down, waiting for 2 attempts; again to end now",
          signal,
          at_most: "3s"
        })
        assert.strictEqual(yield* service.exited, 0)
        // Put back, not lost.
        const again = yield* startService(folder, settings)
        assert.notInclude(again.output.stdout, "The last process ended while")
      })
    )
  }

  const noTerminal = hasScript ? "" : " (there is no `script` of util-linux to make one)"
  it.scopedLive.skipIf(!hasScript)(`goes on while its terminal is not read, ends in order with it${noTerminal}`, () =>
    Effect.gen(function* () {
      const [folder, port] = [yield* temporaryFolder, yield* closedPort]
      const url = `http://127.0.0.1:${port}`
      const program = `"${process.execPath}" "${Path.resolve("dist/main.js")}"`
      const env = {
        PATH: process.env.PATH,
        SHELL: "/bin/sh",
        NODE_ENV: "production",
        PORT: String(port),
        LOG_LEVEL: "Debug",
        PROCESSING_TIME: "1 hour",
        SHUTDOWN_GRACE: "0 millis"
      }
      const terminal = yield* Effect.acquireRelease(
        Effect.sync(() =>
          spawn("script", ["-qec", `exec ${program}`, "/dev/null"], {
            cwd: folder,
            env,
            stdio: ["pipe", "pipe", "inherit"]
          })
        ),
        (terminal) => Effect.sync(() => terminal.kill("SIGKILL"))
      )
      yield* until(() =>
        fetch(`${url}/readyz`)
          .then((answer) => answer.ok)
          .catch(() => false)
      )
      // More than the terminal and the pipe behind it hold.
      for (let count = 0; count < 1500; count++) {
        yield* Effect.promise(() => fetch(`${url}/livez`).then((answer) => answer.arrayBuffer()))
      }
      yield* Effect.promise(() => post(url, aNewOrder(1)))
      yield* until(async () => (await (await fetch(`${url}/api/order/1`)).text()).includes('"Processing"'))
      terminal.kill("SIGKILL")
      yield* until(() =>
        fetch(`${url}/livez`).then(
          () => false,
          () => true
        )
      )
      // The lock is free as soon as all is put back and closed.
      yield* until(() => {
        const lock = new Sqlite(Path.join(folder, "data/orders.db.lock"), { timeout: 0 })
        try {
          lock.exec("BEGIN EXCLUSIVE")
          return true
        } catch {
          return false
        } finally {
          lock.close()
        }
      })
      const again = yield* startService(folder, { PROCESSING_TIME: "1 hour", SHUTDOWN_GRACE: "0 millis" })
      assert.notInclude(again.output.stdout, "The last process ended while")
      assert.strictEqual((yield* Effect.promise(() => fetch(`${again.url}/api/order/1`))).status, 200)
    })
  )

  it.scopedLive("SIGUSR1 opens no debugger", () =>
    Effect.gen(function* () {
      const service = yield* startService(yield* temporaryFolder)
      service.child.kill("SIGUSR1")
      yield* until(() => service.output.stdout.includes("SIGUSR1 does nothing here"))
      assert.strictEqual((yield* Effect.promise(() => fetch(`${service.url}/livez`))).status, 200)
      assert.notInclude(service.output.stderr, "Debugger")
    })
  )

  it.scopedLive("SIGUSR1 opens the debugger in development, which `npm run dev` is", () =>
    Effect.gen(function* () {
      assert.match(packageJson.scripts.dev, /NODE_ENV=development exec tsx /)
      const settings = { NODE_ENV: "development", NODE_OPTIONS: "--inspect-port=0" }
      const service = yield* startService(yield* temporaryFolder, settings)
      service.child.kill("SIGUSR1")
      yield* until(() => service.output.stderr.includes("Debugger listening on"))
    })
  )

  for (const [host, told] of [
    ["::1", "[::1]"],
    ["::", "[::]"],
    ["0.0.0.0", "0.0.0.0"],
    ["127.0.0.1", "127.0.0.1"]
  ] as const) {
    const missing = host.includes(":") && !hasIpv6
    it.scopedLive.skipIf(missing)(
      `HOST=${host} is told as one can use it${missing ? " (this machine has no IPv6)" : ""}`,
      () =>
        Effect.gen(function* () {
          const settings = { HOST: host, ALLOW_UNAUTHENTICATED: "yes" }
          const { url } = yield* startService(yield* temporaryFolder, settings)
          const { host: address, port } = new URL(url)
          assert.strictEqual(address, `${told}:${port}`)
          assert.strictEqual((yield* Effect.promise(() => fetch(`${url}/livez`))).status, 200)
          const taken = yield* failToStart(yield* temporaryFolder, { ...settings, PORT: port })
          assert.include(taken.stderr, `${told}:${port} is in use`)
        })
    )
  }
})
