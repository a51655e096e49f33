import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Queue } from "effect"
import { crashLoad } from "../support/CrashLoad.ts"
import { answer, type Endpoint, startEndpoint } from "../support/Endpoint.ts"
import { checkedLedger } from "../support/Ledger.ts"
import { assertSameHistory, makeNodes } from "../support/NodeProcesses.ts"
import { hasPostgres, postgresSchemas, unlessPostgres } from "../support/Postgres.ts"
import { aNewOrder, post, type ServiceProcess } from "../support/ServiceProcess.ts"
import { until } from "../support/Until.ts"
import { decodeEvent, isNoEvent, nextEvent, openStream } from "../support/Watcher.ts"

/** Orders from this id on are not answered by the endpoint. */
const heldFrom = 1_000_000

/** A takes orders, and all of them run on B, which hands them to an endpoint. */
class TwoNodes extends Context.Tag("test/TwoNodes")<
  TwoNodes,
  {
    readonly a: ServiceProcess
    readonly b: ServiceProcess
    readonly endpoint: Endpoint
    readonly query: Effect.Effect.Success<ReturnType<typeof makeNodes>>["query"]
  }
>() {}

const twoNodes = (schemas: Effect.Effect<string>, settings: Readonly<Record<string, string>> = {}) =>
  Layer.scoped(
    TwoNodes,
    Effect.gen(function* () {
      const endpoint = yield* startEndpoint((request, response) => {
        if (Number(request.sent.order.order_id) < heldFrom) answer(200)(request, response)
      })
      const { query, start } = yield* makeNodes(yield* schemas, {
        ...settings,
        WORKERS: "10",
        ATTEMPT_TIMEOUT: "10 minutes",
        PROCESSOR: "webhook",
        WEBHOOK_URL: endpoint.url.href,
        WEBHOOK_SECRET: `whsec_${Buffer.alloc(24, "nodes").toString("base64")}`
      })
      const [a, b] = yield* Effect.all([start({ ROLE: "api" }), start()], { concurrency: "unbounded" })
      return { a, b, endpoint, query }
    })
  )

/** Follows the changes by streams of so many events each, every one at the next node, behind the last event of the one before. */
const follower = (urls: ReadonlyArray<string>, events: number) => {
  const seen: Array<Effect.Effect.Success<ReturnType<typeof decodeEvent>>> = []
  let streams = 0
  const next = Effect.gen(function* () {
    const headers = { "last-event-id": String(seen.at(-1)?.id ?? 0) }
    const stream = yield* openStream(urls[streams++ % urls.length] ?? "", "", "127.0.0.1", headers)
    assert.strictEqual(stream.status, 200)
    for (const end = seen.length + events; seen.length < end; ) {
      const block = yield* Queue.take(stream.blocks)
      assert.notMatch(block, /^event: reset/)
      if (!isNoEvent(block)) seen.push(yield* decodeEvent(block))
    }
  })
  return { seen, streams: () => streams, run: Effect.forever(Effect.scoped(next)) }
}

const endsByCancel = Effect.gen(function* () {
  const { a, b, endpoint } = yield* TwoNodes
  for (let id = heldFrom; id < heldFrom + 3; id++) {
    assert.strictEqual((yield* Effect.promise(() => post(a.url, aNewOrder(id)))).status, 202)
    const request = yield* Effect.timeout(endpoint.next, "60 seconds")
    assert.strictEqual(request.sent.order.order_id, id)
    const cancelled = yield* Effect.promise(() => fetch(`${a.url}/api/order/${id}/cancel`, { method: "POST" }))
    assert.strictEqual(cancelled.status, 200)
    // Much longer than it takes, and shorter than anything else that could end the request.
    yield* Effect.timeout(request.closedEarly, "8 seconds")
    const found = yield* Effect.promise(async () => (await fetch(`${b.url}/api/order/${id}`)).json())
    assert.include(found, { status: "Cancelled", attempts: 1, last_error: null })
  }
  // Its worker is free again.
  yield* until(async () => {
    const { orders_processing, workers_busy } = JSON.parse(await (await fetch(`${b.url}/api/metrics`)).text())
    return workers_busy === 0 && orders_processing === 0
  })
})

describe.skipIf(!hasPostgres)(`Two nodes on PostgreSQL${unlessPostgres}`, () => {
  layer(twoNodes(postgresSchemas()), { excludeTestServices: true })((it) => {
    it.scoped("end a run on the one by a cancel on the other, at once", () => endsByCancel)

    it.scoped("show every change in one order to a client that goes from the one to the other, again and again", () =>
      Effect.gen(function* () {
        const { a, b, query } = yield* TwoNodes
        const load = crashLoad([a.url, b.url], 8)
        const { run, seen, streams } = follower([a.url, b.url], 25)
        const following = yield* Effect.fork(run)
        yield* until(() => load.accepted.size >= 200)
        yield* load.stop
        const { ledger } = yield* checkedLedger(query, load)
        yield* Effect.raceFirst(
          until(() => seen.length >= ledger.changes.length),
          Fiber.join(following)
        )
        assertSameHistory(seen, ledger)
        assert.isAbove(streams(), 10)
      })
    )
  })

  layer(twoNodes(postgresSchemas(), { HISTORY: "off" }), { excludeTestServices: true })(
    "whose HISTORY is off",
    (it) => {
      it.scoped("end a run on the one by a cancel on the other, at once", () => endsByCancel)

      it.scoped("follow what the other does as it happens, and have no history", () =>
        Effect.gen(function* () {
          const { a, b } = yield* TwoNodes
          const json = (url: string) => Effect.promise(async () => JSON.parse(await (await fetch(url)).text()))
          const live = yield* openStream(a.url, "", "127.0.0.1")
          const seen: Array<string> = []
          for (const id of [1, 2]) {
            yield* Effect.promise(() => post(b.url, aNewOrder(id)))
            assert.strictEqual((yield* json(`${a.url}/api/order/${id}?wait=30`)).status, "Completed")
          }
          while (seen.length < 6) {
            const { order_id, to } = yield* nextEvent(live)
            seen.push(`${order_id} ${to}`)
          }
          const changes = (id: number) => ["Pending", "Processing", "Completed"].map((to) => `${id} ${to}`)
          assert.deepStrictEqual(seen, [...changes(1), ...changes(2)])

          for (const { url } of [a, b]) {
            assert.deepStrictEqual(yield* json(`${url}/api/order/1/history`), { changes: [] })
          }
        })
      )
    }
  )
})
