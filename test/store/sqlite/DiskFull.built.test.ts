import { spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import { closedPort } from "../../support/Endpoint.ts"
import { aNewOrder, observe, post } from "../../support/ServiceProcess.ts"
import { temporaryFolder } from "../../support/TestLayers.ts"
import { until } from "../../support/Until.ts"

const canMount = spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0

/** The built service on a disk of its own, of that size and with so many bytes of it taken; the disk is gone with it. */
const startOnDisk = Effect.fn(function* (size: string, taken: number) {
  const [folder, port] = [yield* temporaryFolder, yield* closedPort]
  const script = `mount -t tmpfs -o size=${size} tmpfs "$1" && cd "$1" && head -c ${taken} /dev/zero > filler 2>&-; exec "$2" "$3"`
  const args = ["-rm", "sh", "-c", script, "sh", folder, process.execPath, Path.resolve("dist/main.js")]
  const settings = { PROCESSING_TIME: "100 millis", LOG_FORMAT: "json", PORT: String(port) }
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("unshare", args, { env: { PATH: process.env.PATH, NODE_ENV: "production", ...settings } })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const { exited, output } = observe(child)
  const url = `http://127.0.0.1:${port}`
  const filler = `/proc/${child.pid}/root${folder}/filler`
  return { child, filler, output, url, exited: Effect.promise(() => exited) }
})

const is202 = (status: number) => status === 202

const fill = (file: string) => {
  const fd = Fs.openSync(file, "a")
  try {
    for (;;) Fs.writeSync(fd, Buffer.alloc(4096))
  } catch (error) {
    assert.match(String(error), /ENOSPC/)
  } finally {
    Fs.closeSync(fd)
  }
}

const textOf = async (url: string) => (await fetch(url)).text()

/** What health checks and Prometheus see. */
const readiness = async (url: string) => {
  const { status } = await fetch(`${url}/readyz`)
  const gauge = /^orders_ready (\d)$/m.exec(await textOf(`${url}/metrics`))?.[1]
  return `${status} ${gauge}`
}

const isReady = (url: string) =>
  readiness(url).then(
    (found) => found === "200 1",
    () => false
  )

const counted = async (url: string): Promise<Record<string, unknown>> => JSON.parse(await textOf(`${url}/api/metrics`))

describe.skipIf(!canMount)(`a full disk${canMount ? "" : " (this machine lets nobody mount a file system)"}`, () => {
  it.scopedLive("ends the start with one line that says so", () =>
    Effect.gen(function* () {
      for (const taken of [400_000, 300_000, 250_000, 200_000]) {
        const { exited, output } = yield* startOnDisk("300k", taken)
        assert.strictEqual(yield* exited, 1)
        assert.match(
          output.stderr,
          /^DATABASE_URL: \S+orders\.db\S*: the disk is full \(.*\): make room on it[^\n]*\n$/
        )
      }
    })
  )

  it.scopedLive(
    "is not ready for as long as orders are refused, floods no log, and all goes on when there is room",
    () =>
      Effect.gen(function* () {
        const { child, exited, filler, output, url } = yield* startOnDisk("8m", 0)
        yield* until(() => isReady(url))
        let id = 0
        const submit = () => post(url, { ...aNewOrder(++id), metadata: { text: "x".repeat(id % 3000) } })
        const statuses = () =>
          Effect.promise(async () => Arr.map(await Promise.all(Arr.makeBy(20, submit)), ({ status }) => status))
        assert.deepStrictEqual(yield* statuses(), Arr.replicate(202, 20))

        // Orders are being worked on, so there is more to write than new ones.
        yield* Effect.sync(() => fill(filler))
        yield* Effect.iterate(true, { while: (fits) => fits, body: () => Effect.map(statuses(), Arr.every(is202)) })
        // A small order may still fit where a larger one did not.
        let refusedAll = 0
        while (refusedAll < 30) {
          if (!Arr.some(yield* statuses(), is202)) refusedAll += 1
          assert.strictEqual(yield* Effect.promise(() => readiness(url)), "503 0")
          yield* Effect.sleep("50 millis")
        }
        const lines = output.stdout.split("\n").filter((line) => /"level":"(WARN|ERROR)"/.test(line))
        const told = lines
          .map((line) => String(JSON.parse(line).message))
          .filter((line) => !/simulated|^Node \d/.test(line))
        assert.deepStrictEqual(told.map((line) => line.replace(/:.*/, "")).sort(), [
          "Orders cannot be written",
          "Storage unavailable"
        ])

        yield* Effect.sync(() => Fs.rmSync(filler))
        yield* until(() => isReady(url))
        assert.deepStrictEqual(yield* statuses(), Arr.replicate(202, 20))
        yield* until(async () => {
          const { orders_completed, total_orders } = await counted(url)
          return orders_completed === total_orders
        })
        child.kill("SIGTERM")
        assert.strictEqual(yield* exited, 0)
      })
  )

  it.scopedLive("is found out when nothing is submitted, too", () =>
    Effect.gen(function* () {
      const { filler, url } = yield* startOnDisk("8m", 0)
      yield* until(() => isReady(url))
      yield* Effect.sync(() => fill(filler))
      yield* until(async () => (await readiness(url)) === "503 0")
      for (let round = 0; round < 10; round++) {
        assert.strictEqual(yield* Effect.promise(() => readiness(url)), "503 0")
      }
      yield* Effect.sync(() => Fs.rmSync(filler))
      yield* until(() => isReady(url))
    })
  )
})
