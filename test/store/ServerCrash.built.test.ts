import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { crashConsumer, crashLoad } from "../support/CrashLoad.ts"
import { checkedLedger } from "../support/Ledger.ts"
import { serverKinds } from "../support/OwnServers.ts"
import { startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

/** One of each kind, or as many as are asked for: then it is also shown what they were. */
const asked = process.env.CRASH_ROUNDS
const rounds = Number(asked ?? 4)

const settings = {
  WORKERS: "20",
  PROCESSING_TIME: "30 millis",
  PROCESSING_FAILURES: "0.2",
  MAX_ATTEMPTS: "3",
  RETRY_BASE: "200 millis"
}

/** What is killed in which round, in this order. */
const kinds: ReadonlyArray<ReadonlyArray<"service" | "server">> = [
  ["service"],
  ["server"],
  ["server", "service"],
  ["service", "server"]
]

for (const { isThere, make, name } of serverKinds) {
  describe.skipIf(!isThere)(`kill -9 on ${name}`, () => {
    it.scopedLive(
      "of the service, of the server and of both under load loses nothing and doubles nothing",
      () =>
        Effect.gen(function* () {
          const folder = yield* temporaryFolder
          const server = yield* make
          const start = (port: string) => startService(folder, { ...settings, DATABASE_URL: server.url, PORT: port })
          let service = yield* start("0")
          const { url } = service
          const load = crashLoad([url], 24)
          const consumer = crashConsumer([url])
          const more = (count: number) =>
            Effect.suspend(() => {
              const before = load.accepted.size
              return until(() => load.accepted.size >= before + count)
            })

          for (let round = 0; round < rounds; round++) {
            yield* more(100 + ((round * 7919) % 300))
            const killed = kinds[round % kinds.length] ?? []
            for (const what of killed) {
              if (what === "server") yield* server.kill
              else {
                service.child.kill("SIGKILL")
                yield* service.exited
              }
            }
            if (killed.includes("server")) yield* server.start
            if (killed.includes("service")) service = yield* start(new URL(url).port)
          }
          yield* more(100)
          yield* load.stop

          const { ledger, stored } = yield* checkedLedger(server.query, load)

          // The same over HTTP, and by the feed.
          for (const [id, status] of stored) {
            const answer = yield* Effect.promise(() => fetch(`${url}/api/order/${id}`).then((answer) => answer.text()))
            assert.include(answer, `{"order_id":${id},"status":"${status}",`)
          }
          yield* until(() => consumer.consumed.length >= ledger.changes.length)
          yield* consumer.stop
          assert.strictEqual(consumer.resets(), 0)
          const orderOf = new Map(ledger.orders.map(({ order_id, seq }) => [seq, Number(order_id)]))
          assert.deepStrictEqual(
            consumer.consumed.map(({ attempt, from, id, order_id, reason, run, to }) => ({
              id,
              order_id: Number(order_id),
              from,
              to,
              run,
              attempt,
              reason
            })),
            ledger.changes.map(({ attempt, from_status, id, reason, run, seq, to_status }) => ({
              id,
              order_id: orderOf.get(seq) ?? 0,
              from: from_status,
              to: to_status,
              run,
              attempt,
              reason
            }))
          )
          const figures = { rounds, ...load.counts(), orders: stored.size, changes: ledger.changes.length }
          if (asked !== undefined) yield* Effect.log(figures)
          service.child.kill("SIGTERM")
          assert.strictEqual(yield* service.exited, 0)
        }),
      Math.max(300_000, rounds * 30_000)
    )
  })
}
