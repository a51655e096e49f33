import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Exit, Scope } from "effect"
import { closedPort } from "./support/Endpoint.ts"
import { aNewOrder, post } from "./support/ServiceProcess.ts"
import { temporaryFolder } from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

const isReady = (url: string) =>
  fetch(`${url}/readyz`).then(
    ({ ok }) => ok,
    () => false
  )

/** The built service with those outputs, which need not tell where it listens. */
const start = Effect.fn(function* (stdout: number | "pipe", stderr: number | "pipe", settings = {}) {
  const [folder, port] = [yield* temporaryFolder, yield* closedPort]
  const url = `http://127.0.0.1:${port}`
  const env = { PATH: process.env.PATH, NODE_ENV: "production", PORT: String(port), LOG_FORMAT: "json", ...settings }
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [Path.resolve("dist/main.js")], { cwd: folder, env, stdio: ["ignore", stdout, stderr] })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const exited = once(child, "exit").then(([code, signal]): number | string => code ?? signal)
  return { child, url, exited: Effect.promise(() => exited) }
})

const opened = (path: string, flags: string | number) =>
  Effect.acquireRelease(
    Effect.sync(() => Fs.openSync(path, flags)),
    (fd) => Effect.sync(() => Fs.closeSync(fd))
  )

/** A named pipe, which outlives its readers. */
const namedPipe = Effect.map(temporaryFolder, (folder) => {
  const path = Path.join(folder, "log")
  execFileSync("mkfifo", [path])
  return path
})
const reader = (path: string) => opened(path, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK)

/** What can be read now. */
const readNow = (fd: number) => {
  const parts: Array<Buffer> = []
  try {
    for (;;) {
      const buffer = Buffer.alloc(65_536)
      const size = Fs.readSync(fd, buffer)
      if (size === 0) break
      parts.push(buffer.subarray(0, size))
    }
  } catch {
    // Nothing more for now.
  }
  return Buffer.concat(parts).toString()
}

const readUntil = (fd: number, found: (text: string) => boolean) =>
  Effect.suspend(() => {
    let text = ""
    return Effect.map(
      until(() => {
        text += readNow(fd)
        return found(text)
      }),
      () => text
    )
  })

const entryWith = (text: string, message: RegExp) =>
  text
    .split("\n")
    .filter((line) => line.startsWith("{") && line.endsWith("}"))
    .map((line): Record<string, unknown> => JSON.parse(line))
    .find((entry) => message.test(String(entry.message)))

const accepts = (url: string, ...ids: ReadonlyArray<number>) =>
  Effect.promise(async () => {
    for (const id of ids) assert.strictEqual((await post(url, aNewOrder(id))).status, 202)
  })

/** Every order is failed, and so has a line in the log. */
const failing = { PROCESSING_TIME: "1 millis", PROCESSING_FAILURES: "1", MAX_ATTEMPTS: "1" }

describe("a service whose output cannot be written goes on", () => {
  it.scopedLive("when the reader of its log goes away, which it says on standard error", () =>
    Effect.gen(function* () {
      const { child, exited, url } = yield* start("pipe", "pipe", failing)
      let errors = ""
      child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        errors += text
      })
      child.stdout?.once("data", () => child.stdout?.destroy())
      yield* until(() => isReady(url))
      yield* accepts(url, 1, 2, 3)
      yield* until(() => errors.includes("\n"))
      assert.match(errors, /^Standard output cannot be written \(EPIPE\)[^\n]*\n$/)
      yield* accepts(url, 4)
      child.kill("SIGTERM")
      assert.strictEqual(yield* exited, 0)
    })
  )

  it.scopedLive("when the disk it logs to is full", () =>
    Effect.gen(function* () {
      const full = yield* opened("/dev/full", "w")
      const { child, exited, url } = yield* start(full, full, failing)
      yield* until(() => isReady(url))
      yield* accepts(url, 1, 2, 3)
      child.kill("SIGTERM")
      assert.strictEqual(yield* exited, 0)
    })
  )

  it.scopedLive("and logs again when a new reader comes: what it kept, and that it could not", () =>
    Effect.gen(function* () {
      const path = yield* namedPipe
      // Closed once: by the second time its number may be another's, such as that of the output of a child process.
      const scope = yield* Scope.make()
      const first = yield* Scope.extend(reader(path), scope)
      const { url } = yield* start(yield* opened(path, Fs.constants.O_WRONLY), "pipe", failing)
      yield* readUntil(first, (text) => text.includes("Listening on"))
      yield* Scope.close(scope, Exit.void)
      yield* accepts(url, 1)
      yield* until(async () => (await (await fetch(`${url}/api/order/1`)).text()).includes('"Failed"'))
      const second = yield* reader(path)
      const text = yield* readUntil(second, (text) => /could not be written[^\n]*\n/.test(text))
      assert.strictEqual(entryWith(text, /Order failed/)?.order_id, "1")
      const notice = entryWith(text, /^Standard output could not be written for a while: EPIPE/)
      assert.deepInclude(notice, { level: "WARN", lost_lines: 0 })
    })
  )

  it.scopedLive("when its reader never reads: it keeps a megabyte, counts what it drops, and tells how much", () =>
    Effect.gen(function* () {
      const path = yield* namedPipe
      const fd = yield* reader(path)
      const { url } = yield* start(yield* opened(path, Fs.constants.O_WRONLY), "pipe", { LOG_LEVEL: "Debug" })
      yield* until(() => isReady(url))
      const headers = { "x-request-id": "r".repeat(128) }
      yield* Effect.forEach(
        Arr.range(1, 6000),
        () => Effect.promise(() => fetch(`${url}/livez`, { headers }).then((answer) => answer.arrayBuffer())),
        { concurrency: 20, discard: true }
      )
      const text = yield* readUntil(fd, (text) => /could not be written[^\n]*\n/.test(text))
      // What a pipe of the system holds comes on top.
      assert.isBelow(text.length, 1_200_000)
      const notice = entryWith(text, /could not be written for a while: its reader does not read/)
      const logged = text.split("\n").filter((line) => line.includes('"Request answered"') && line.includes("rrr"))
      assert.strictEqual(Number(notice?.lost_lines) + logged.length, 6000)
      assert.isAbove(logged.length, 2000)
    })
  )
})
