import * as Path from "node:path"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import type { Database } from "better-sqlite3"
import { Effect } from "effect"
import { OrderId } from "../src/order/Order.ts"
import { loadDriver } from "../src/store/sqlite/SqliteDriver.ts"
import { aNewOrder, post, startService } from "./support/ServiceProcess.ts"
import { clientOf, temporaryFolder } from "./support/TestLayers.ts"
import { until } from "./support/Until.ts"

const Sqlite = loadDriver()

type Answer = "ok" | "refused" | "unknown"

/**
 * Posts orders 1, 2, 3 ... from many sides until it is stopped, and keeps what was answered. A side that gets no answer
 * ends, so that however long the service is away, no more are unknown than there are sides.
 */
const crowd = (url: () => string, size: number) => {
  const answers = new Map<number, Answer>()
  let next = 1
  let stopped = false
  const one = async () => {
    while (!stopped) {
      const id = next++
      answers.set(
        id,
        await post(url(), aNewOrder(id)).then(
          async (response) => {
            await response.text()
            return response.ok ? "ok" : "refused"
          },
          () => "unknown"
        )
      )
      if (answers.get(id) === "unknown") return
      if (answers.get(id) !== "ok") await new Promise(setImmediate)
    }
  }
  const done = Promise.all(Array.from({ length: size }, one))
  return {
    answers,
    ids: (answer: Answer) => [...answers].filter(([, given]) => given === answer).map(([id]) => id),
    stop: Effect.promise(() => {
      stopped = true
      return done
    })
  }
}

const okCount = (load: ReturnType<typeof crowd>, count: number) => until(() => load.ids("ok").length >= count)

/** Reads the database while no service has it. */
const inspect = <A>(folder: string, read: (db: Database) => A) =>
  Effect.acquireUseRelease(
    Effect.sync(() => new Sqlite(Path.join(folder, "data/orders.db"), { readonly: true })),
    (db) => Effect.sync(() => read(db)),
    (db) => Effect.sync(() => db.close())
  )

const settings = { PROCESSING_TIME: "100 millis", WORKERS: "20" }

describe("the promise", () => {
  it.scopedLive("survives kill -9 in the middle of the work", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const first = yield* startService(folder, settings)
      const load = crowd(() => first.url, 40)
      yield* okCount(load, 500)
      first.child.kill("SIGKILL")
      assert.strictEqual(yield* first.exited, "SIGKILL")
      yield* load.stop
      assert.isAbove(load.ids("unknown").length, 0)

      const integrity = yield* inspect(folder, (db) => db.pragma("integrity_check", { simple: true }))
      assert.strictEqual(integrity, "ok")

      // 1. What was acknowledged is there.
      const second = yield* startService(folder, settings)
      const api = yield* clientOf(second.url)
      const find = (id: number) => api.orders.find({ path: { order_id: OrderId.make(String(id)) }, urlParams: {} })
      for (const id of load.ids("ok")) assert.strictEqual((yield* find(id)).order_id, String(id))
      // 2. What was refused stored nothing; the outcome of the unknown is settled by sending them again.
      for (const id of load.ids("refused")) {
        assert.strictEqual((yield* Effect.flip(find(id)))._tag, "OrderNotFound")
      }
      for (const id of load.ids("unknown")) {
        const response = yield* Effect.promise(() => post(second.url, aNewOrder(id)))
        assert.isTrue(response.status === 202 || response.status === 200)
      }
      // 3. Every order reaches exactly one final state, recorded once.
      const expected = load.ids("ok").length + load.ids("unknown").length
      yield* until(Effect.map(api.service.metrics(), (now) => now.orders_completed >= expected))
      const end = yield* api.service.metrics()
      assert.strictEqual(end.total_orders, expected)
      assert.strictEqual(end.orders_completed, expected)

      second.child.kill("SIGTERM")
      assert.strictEqual(yield* second.exited, 0)
      const rows = yield* inspect(folder, (db) => ({
        statuses: db.prepare("SELECT status, count(*) AS count FROM orders GROUP BY status").all(),
        runs: db.prepare("SELECT min(run) AS least, min(attempts) AS attempts FROM orders").get(),
        totals: db.prepare("SELECT pending, processing, completed, failed, cancelled FROM totals").get(),
        integrity: db.pragma("integrity_check", { simple: true })
      }))
      assert.deepStrictEqual(rows, {
        statuses: [{ status: "Completed", count: expected }],
        runs: { least: 1, attempts: 1 },
        totals: { pending: 0, processing: 0, completed: expected, failed: 0, cancelled: 0 },
        integrity: "ok"
      })
    }).pipe(Effect.provide(NodeHttpClient.layer))
  )

  it.scopedLive("SIGTERM under load: what was answered holds, what was begun is put back, and the exit is clean", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const first = yield* startService(folder, {
        PROCESSING_TIME: "1 hour",
        ATTEMPT_TIMEOUT: "2 hours",
        WORKERS: "5",
        SHUTDOWN_GRACE: "100 millis"
      })
      const load = crowd(() => first.url, 40)
      yield* okCount(load, 300)
      first.child.kill("SIGTERM")
      assert.strictEqual(yield* first.exited, 0)
      yield* load.stop

      const rows = yield* inspect(folder, (db) => ({
        stored: new Set(db.prepare("SELECT order_id FROM orders").pluck().all()),
        pending: db.prepare("SELECT count(*) FROM orders WHERE status = 'Pending'").pluck().get(),
        started: db.prepare("SELECT count(*) FROM orders WHERE run = 1 AND attempts = 0").pluck().get()
      }))
      for (const id of load.ids("ok")) assert.isTrue(rows.stored.has(String(id)), `order ${id} was acknowledged`)
      for (const id of load.ids("refused")) assert.isFalse(rows.stored.has(String(id)), `order ${id} was refused`)
      assert.strictEqual(rows.pending, rows.stored.size)
      assert.strictEqual(rows.started, 5)

      const second = yield* startService(folder, settings)
      const api = yield* clientOf(second.url)
      assert.strictEqual((yield* api.service.metrics()).total_orders, rows.stored.size)
    }).pipe(Effect.provide(NodeHttpClient.layer))
  )
})
