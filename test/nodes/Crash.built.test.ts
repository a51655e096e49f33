import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import { crashConsumer, crashLoad } from "../support/CrashLoad.ts"
import { checkedLedger } from "../support/Ledger.ts"
import { assertSameHistory, makeNodes } from "../support/NodeProcesses.ts"
import { serverKinds } from "../support/OwnServers.ts"
import { until } from "../support/Until.ts"

/** As many as are asked for: then it is also shown what they were. */
const asked = process.env.CRASH_ROUNDS
const rounds = Number(asked ?? 1)
const orders = asked === undefined ? 1000 : 5000

const settings = {
  WORKERS: "20",
  PROCESSING_TIME: "50 millis",
  PROCESSING_FAILURES: "0.1",
  MAX_ATTEMPTS: "5",
  RETRY_BASE: "200 millis"
}

for (const { isThere, make, name } of serverKinds.filter(({ name }) => name.startsWith("PostgreSQL"))) {
  describe.skipIf(!isThere)(`Three nodes on ${name}`, () => {
    it.scopedLive.each(Arr.range(1, rounds))(
      "lose nothing and double nothing when one is killed, one is stopped, and the server crashes (round %i)",
      () =>
        Effect.gen(function* () {
          const server = yield* make
          const { jobs, query, start } = yield* makeNodes(server.url, settings)
          const nodes = [yield* start(), yield* start(), yield* start()] as const
          const urls = nodes.map(({ url }) => url)
          const load = crashLoad(urls, 24)
          const consumers = nodes.slice(0, 2).map(({ url }) => crashConsumer([url]))
          const upTo = (share: number) => until(() => load.accepted.size >= share * orders)

          yield* upTo(0.3)
          nodes[2].child.kill("SIGKILL")
          const killedAt = Date.now()
          yield* upTo(0.6)
          nodes[1].child.kill("SIGSTOP")
          yield* Effect.sleep("15 seconds")
          nodes[1].child.kill("SIGCONT")
          yield* server.kill
          yield* server.start
          yield* upTo(1)
          yield* load.stop

          const { ledger } = yield* checkedLedger(query, load)
          assert.deepStrictEqual(yield* jobs, [], "a job is left over")

          const histories = yield* Effect.forEach(consumers, (consumer) =>
            until(() => consumer.consumed.length >= ledger.changes.length).pipe(
              Effect.zipRight(consumer.stop),
              Effect.as(consumer)
            )
          )
          for (const { consumed, resets } of histories) {
            assert.strictEqual(resets(), 0)
            assertSameHistory(consumed, ledger)
          }
          const lost = ledger.changes.filter(({ reason }) => reason === "lost").length
          assert.isAbove(lost, 0)
          const figures = { ...load.counts(), changes: ledger.changes.length, lost, millis: Date.now() - killedAt }
          if (asked !== undefined)
            yield* Effect.promise(async () => process.stderr.write(`${JSON.stringify(figures)}\n`))
          for (const { child, exited } of nodes.slice(0, 2)) {
            child.kill("SIGTERM")
            assert.strictEqual(yield* exited, 0)
          }
        }),
      300_000
    )
  })
}
