import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Duration, Effect, Schema } from "effect"
import { Delivery, deliver } from "../../src/cli/Delivery.ts"
import { NewOrder } from "../../src/order/Order.ts"
import { crashConsumer } from "../support/CrashLoad.ts"
import { freePort } from "../support/FreePort.ts"
import { checkedLedger } from "../support/Ledger.ts"
import { assertSameHistory, makeNodes } from "../support/NodeProcesses.ts"
import { hasPostgres, postgresSchemas, unlessPostgres } from "../support/Postgres.ts"
import { aNewOrder } from "../support/ServiceProcess.ts"
import { clientOf } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

/** Longer than a node has at its end, so that each leaves orders in hand. */
const settings = {
  WORKERS: "40",
  PROCESSING_TIME: "1 second",
  PROCESSING_JITTER: "0",
  SHUTDOWN_GRACE: "50 millis"
}

const decodeOrder = Schema.decodeUnknownSync(NewOrder)

/** Shoppers of one node each, who hand in orders with the client of the command line until they are stopped. */
const shoppers = (urls: ReadonlyArray<string>) => {
  const accepted = new Set<number>()
  const unexpected: Array<string> = []
  let [next, repeats, isStopped] = [1, 0, false]
  const shop = (url: string) =>
    Effect.gen(function* () {
      const api = yield* clientOf(url)
      while (!isStopped) {
        const id = next++
        const delivery = yield* deliver(api, decodeOrder(aNewOrder(id)), Duration.minutes(2))
        repeats += delivery.repeats
        if (Delivery.$is("Acknowledged")(delivery)) accepted.add(id)
        else unexpected.push(`order ${id}: ${delivery._tag}, ${delivery.reason}`)
      }
    })
  return {
    load: { accepted, cancelled: new Set<number>(), unexpected },
    repeats: () => repeats,
    run: Effect.provide(Effect.forEach(urls, shop, { concurrency: "unbounded", discard: true }), NodeHttpClient.layer),
    stop: Effect.sync(() => {
      isStopped = true
    })
  }
}

describe.skipIf(!hasPostgres)(`Three nodes on PostgreSQL${unlessPostgres}`, () => {
  const schemas = postgresSchemas()

  it.scopedLive("are exchanged one after the other under load: no order fails, is lost, or runs twice", () =>
    Effect.gen(function* () {
      const nodes = yield* makeNodes(yield* schemas, settings)
      const ports = yield* Effect.promise(() => Promise.all(Arr.makeBy(3, freePort)))
      const start = (port: number) => nodes.start({ PORT: String(port) })
      const leaving = yield* Effect.forEach(ports, start, { concurrency: "unbounded" })
      const urls = leaving.map(({ url }) => url)
      const { load, repeats, run, stop } = shoppers([...urls, ...urls])
      const consumer = crashConsumer(urls)
      const shopping = yield* Effect.fork(run)

      let wanted = 0
      const more = Effect.suspend(() => {
        wanted = load.accepted.size + 50
        return until(() => load.accepted.size >= wanted)
      })
      yield* more
      yield* Effect.forEach(Arr.zip(leaving, ports), ([node, port]) =>
        Effect.gen(function* () {
          node.child.kill("SIGTERM")
          assert.strictEqual(yield* node.exited, 0, node.output.stdout)
          yield* start(port)
          yield* more
        })
      )
      yield* stop
      yield* shopping

      const { ledger } = yield* checkedLedger(nodes.query, load)
      assert.deepStrictEqual(yield* nodes.jobs, [], "a job is left over")
      assert.isAbove(repeats(), 0)
      const count = (wanted: string) => ledger.changes.filter(({ reason }) => reason === wanted).length
      assert.isAbove(count("put_back"), 0)
      assert.strictEqual(count("lost"), 0, "what a node left in hand was not handed over at once")

      yield* until(() => consumer.consumed.length >= ledger.changes.length)
      yield* consumer.stop
      assert.strictEqual(consumer.resets(), 0)
      assertSameHistory(consumer.consumed, ledger)
    })
  )
})
