import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { loadDriver } from "../src/store/sqlite/SqliteDriver.ts"
import { aNewOrder, startService } from "./support/ServiceProcess.ts"
import { temporaryFolder } from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

const Sqlite = loadDriver()
const program = Path.resolve("test/fixtures/consumer.mjs")

const settings = { PROCESSING_TIME: "20 millis", WORKERS: "200", MAX_PENDING: "1000000" }

/** Submits orders in bulk until all are accepted, again and again where the service is away. */
const submit = async (url: string, count: number) => {
  for (let first = 1; first <= count; ) {
    const orders = Array.from({ length: 200 }, (_, index) => aNewOrder(first + index))
    const answer = await fetch(`${url}/api/orders`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(orders)
    }).then(
      (response) => response.status,
      () => 0
    )
    if (answer === 200) first += orders.length
    else await sleep(50)
  }
}

const sizeOf = (file: string) => (Fs.existsSync(file) ? Fs.statSync(file).size : 0)

/** Until the consumer has stored something more; for a second at most, as there may be nothing. */
const stored = async (file: string) => {
  const before = sizeOf(file)
  for (let look = 0; look < 50 && sizeOf(file) === before; look++) await sleep(20)
}

/**
 * Runs the consumer, and kills it fifty times, after some time that is never the same since it has stored something: on a slow
 * machine its start alone would take longer. From then on it lives until it is stopped.
 */
const makeConsumer = (url: string, file: string) => {
  let stopped = false
  let kills = 0
  const life = async () => {
    if (kills < 50) {
      await stored(file)
      return sleep((kills * 7919) % 400)
    }
    while (!stopped) await sleep(20)
  }
  const run = async () => {
    while (!stopped) {
      const child = spawn(process.execPath, [program, url, file], { stdio: ["ignore", "ignore", "inherit"] })
      const ended = once(child, "exit")
      await Promise.race([ended, life()])
      assert.isNull(child.exitCode, "the consumer ended by itself")
      child.kill("SIGKILL")
      await ended
      kills += 1
    }
  }
  let failure: unknown
  const done = run().catch((error) => {
    failure = error
  })
  return {
    kills: () => {
      if (failure !== undefined) throw failure
      return kills
    },
    stop: () => {
      stopped = true
      return done
    }
  }
}

const read = (file: string): ReadonlyArray<{ id: number; order_id: number; from: string | null; to: string }> =>
  Fs.existsSync(file)
    ? Fs.readFileSync(file, "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line))
    : []

describe("the feed of changes", () => {
  it.scopedLive(
    "reaches a consumer that is killed 50 times, and so is the service, each change once and in order",
    () =>
      Effect.gen(function* () {
        const orders = 20_000
        const folder = yield* temporaryFolder
        const file = Path.join(folder, "consumed.ndjson")
        let service = yield* startService(folder, settings)
        const { url } = service
        const submitted = submit(url, orders)
        const consumer = makeConsumer(url, file)
        const restart = Effect.gen(function* () {
          service.child.kill("SIGKILL")
          yield* service.exited
          service = yield* startService(folder, { ...settings, PORT: new URL(url).port })
        })
        for (const kills of [5, 15, 25]) {
          yield* until(() => consumer.kills() >= kills)
          yield* restart
        }
        yield* Effect.promise(() => submitted)
        yield* until(() => consumer.kills() >= 50)
        yield* until(async () => {
          const response = await fetch(`${url}/api/metrics`)
          return JSON.parse(await response.text()).orders_completed === orders
        })
        const db = new Sqlite(Path.join(folder, "data/orders.db"), { readonly: true })
        const kept = db
          .prepare<[], { id: number; order_id: string; from: string | null; to: string }>(
            `SELECT id, order_id, from_status AS "from", to_status AS "to" FROM changes JOIN orders USING (seq) ORDER BY id`
          )
          .all()
          .map(({ from, id, order_id, to }) => ({ id, order_id: Number(order_id), from, to }))
        db.close()
        yield* until(() => read(file).length >= kept.length)
        yield* Effect.promise(consumer.stop)

        const consumed = read(file).map(({ from, id, order_id, to }) => ({ id, order_id, from, to }))
        assert.deepStrictEqual(
          kept.map(({ id }) => id),
          Array.from(kept, (_, index) => index + 1)
        )
        assert.strictEqual(consumed.length, kept.length)
        assert.isTrue(consumed.every((change, index) => isDeepStrictEqual(change, kept[index])))
        assert.isAtLeast(consumer.kills(), 50)
      })
  )
})
