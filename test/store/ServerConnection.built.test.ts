import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { checkLedger, readLedger } from "../support/Ledger.ts"
import { longTest } from "../support/Limits.ts"
import { serverKinds } from "../support/OwnServers.ts"
import { relayTo } from "../support/Relay.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

const read = <A, I>(url: string, schema: Schema.Schema<A, I>) =>
  Effect.promise(() => fetch(url).then((answer) => answer.json())).pipe(
    Effect.flatMap(Schema.decodeUnknown(schema)),
    Effect.orDie
  )

const Order = Schema.Struct({ status: Schema.String })
const Metrics = Schema.Struct({
  orders_processing: Schema.Int,
  orders_completed: Schema.Int,
  orders_cancelled: Schema.Int,
  total_orders: Schema.Int,
  workers_busy: Schema.Int
})
const Changes = Schema.Struct({ next: Schema.String, changes: Schema.Array(Schema.Struct({ id: Schema.Int })) })

/** What closing takes at most besides `SHUTDOWN_GRACE`, as docs/databases.md says. */
const closingMillis = 20_000

/** To insert an order, to claim it and to record its end takes at least that many messages. */
const fewest = 15

for (const { isThere, make, name } of serverKinds) {
  // Each has a server of its own and waits most of the time: they wait at the same time.
  describe.skipIf(!isThere).concurrent(`The connection to ${name}`, () => {
    it.scopedLive("may be lost with any answer: all is written once, and told to all who listen", () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const server = yield* make
        const relay = yield* relayTo(server.url)
        const { url } = yield* startService(folder, {
          PROCESSING_TIME: "1 millis",
          PROCESSING_JITTER: "0",
          DATABASE_URL: relay.url
        })
        const submit = async (id: number) => (await post(url, aNewOrder(id))).status
        let place = "0"
        let orders = 0
        const consumed: Array<number> = []
        for (let message = 0; message === 0 || relay.hasCut(); message++) {
          relay.cutAt(message)
          orders += 1
          yield* until(async () => [200, 202].includes(await submit(orders)))
          yield* until(Effect.map(read(`${url}/api/order/${orders}`, Order), ({ status }) => status === "Completed"))
          // Nothing is written any more, by which what was missed could come out.
          const { totals } = yield* readLedger(server.query)
          while (Number(place) < totals.last_change) {
            const page = yield* read(`${url}/api/changes?after=${place}&wait=30`, Changes)
            consumed.push(...page.changes.map(({ id }) => id))
            place = page.next
          }
          yield* until(
            Effect.map(
              read(`${url}/api/metrics`, Metrics),
              (now) => now.orders_completed === orders && now.total_orders === orders
            )
          )
        }
        assert.isAbove(orders, fewest)
        const ledger = yield* readLedger(server.query)
        checkLedger(ledger)
        assert.deepStrictEqual(
          consumed,
          ledger.changes.map(({ id }) => id)
        )
      })
    )

    it.scopedLive("may be lost with the answer to the last write of all: it comes out without another one", () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const relay = yield* relayTo((yield* make).url)
        const { url } = yield* startService(folder, {
          PROCESSING_TIME: "1 hour",
          ATTEMPT_TIMEOUT: "2 hours",
          DATABASE_URL: relay.url
        })
        const metrics = read(`${url}/api/metrics`, Metrics)
        assert.strictEqual((yield* Effect.promise(() => post(url, aNewOrder(1)))).status, 202)
        yield* until(Effect.map(metrics, (now) => now.orders_processing === 1))
        relay.cutAtCommit()
        const answer = yield* Effect.promise(() => fetch(`${url}/api/order/1/cancel`, { method: "POST" }))
        assert.isTrue(relay.hasCut())
        assert.strictEqual(answer.status, 503)
        yield* until(Effect.map(metrics, (now) => now.orders_cancelled === 1 && now.workers_busy === 0))
        const { changes } = yield* read(`${url}/api/changes?after=2`, Changes)
        assert.deepStrictEqual(changes, [{ id: 3 }])
      })
    )

    it.scopedLive(
      "may be lost while the server cannot end its session: the service goes on once that has ended",
      () =>
        Effect.gen(function* () {
          const folder = yield* temporaryFolder
          const server = yield* make
          const relay = yield* relayTo(server.url)
          const { output, url } = yield* startService(folder, { PROCESSING_TIME: "1 hour", DATABASE_URL: relay.url })
          const submit = async (id: number) => (await post(url, aNewOrder(id))).status
          assert.strictEqual(yield* Effect.promise(() => submit(1)), 202)
          const end = yield* server.stall
          const stalled = submit(2)
          yield* until(server.isStalled)
          relay.cutAll()
          assert.strictEqual(yield* Effect.promise(() => stalled), 503)
          yield* until(() => /FORMER_SESSION|another process/.test(output.stdout))
          assert.notInclude(output.stdout, "another process")
          const ready = async () => (await fetch(`${url}/readyz`)).status
          assert.strictEqual(yield* Effect.promise(ready), 503)
          yield* end
          yield* until(async () => [200, 202].includes(await submit(2)))
          yield* until(async () => (await ready()) === 200)
          assert.notInclude(output.stdout, "another process")
          const { orders } = yield* readLedger(server.query)
          assert.deepStrictEqual(
            orders.map(({ order_id }) => order_id),
            ["1", "2"]
          )
        }),
      longTest
    )

    it.scopedLive(
      "may hang for ever: the service ends in time all the same",
      () =>
        Effect.gen(function* () {
          const folder = yield* temporaryFolder
          const server = yield* make
          const { child, exited, url } = yield* startService(folder, {
            PROCESSING_TIME: "1 hour",
            SHUTDOWN_GRACE: "1 second",
            DATABASE_URL: server.url
          })
          assert.strictEqual((yield* Effect.promise(() => post(url, aNewOrder(1)))).status, 202)
          yield* until(Effect.map(read(`${url}/api/metrics`, Metrics), (now) => now.orders_processing === 1))
          yield* server.pause
          const hanging = post(url, aNewOrder(2)).catch(() => undefined)
          const reading = fetch(`${url}/api/order/1`).catch(() => undefined)
          yield* Effect.sleep("200 millis")
          child.kill("SIGTERM")
          const [took, code] = yield* Effect.timed(exited)
          assert.strictEqual(code, 0)
          assert.isBelow(Duration.toMillis(took), 1000 + closingMillis)
          yield* Effect.promise(() => Promise.all([hanging, reading]))
        }),
      longTest
    )
  })
}
