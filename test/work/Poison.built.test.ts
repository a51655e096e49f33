import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Option, Schedule, type Scope } from "effect"
import * as Esbuild from "esbuild"
import { OrderId } from "../../src/order/Order.ts"
import { type ServiceProcess, startService } from "../support/ServiceProcess.ts"
import { clientOf, newOrder, temporaryFolder } from "../support/TestLayers.ts"

/** The service whose processor calls `process.exit` for the order `poison`, as one file. */
const build = (folder: string) =>
  Effect.promise(async () => {
    const outfile = Path.join(folder, "poison.mjs")
    // The native module is not bundled.
    await Fs.symlink(Path.resolve("node_modules"), Path.join(folder, "node_modules"))
    await Esbuild.build({
      entryPoints: [Path.resolve("test/fixtures/poison.ts")],
      bundle: true,
      platform: "node",
      target: "node20",
      format: "esm",
      outfile,
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
      logLevel: "error"
    })
    return outfile
  })

const lost = Arr.makeBy(50, (index) => `lost-${index}`)
const others = Arr.makeBy(50, (index) => `order-${index}`)

describe("an order that takes the process down", () => {
  it.scopedLive(
    "ends Failed as worker_lost, and all that were lost with it are Completed",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        const program = yield* build(folder)
        const settings = { WORKERS: "100", MAX_ATTEMPTS: "5" }
        let crashes = 0
        /** Work begins before the service listens, so that it may be gone by then: it is started again. */
        const start: Effect.Effect<ServiceProcess, never, Scope.Scope> = Effect.catchAllDefect(
          startService(folder, settings, program),
          (gone) => {
            assert.include(String(gone), "The service ended with 1:")
            crashes += 1
            assert.isAtMost(crashes, 5, String(gone))
            return start
          }
        )

        let service = yield* start
        const api = Effect.suspend(() => clientOf(service.url))
        /** Does it with whatever process runs, and starts another when that one is gone. */
        const whileItRuns = <A, E, R>(use: Effect.Effect<A, E, R>) =>
          Effect.retry(
            Effect.tapError(use, () =>
              Effect.gen(function* () {
                assert.strictEqual(yield* service.exited, 1)
                crashes += 1
                service = yield* start
              })
            ),
            { times: 20 }
          )

        const submit = (ids: ReadonlyArray<string>) =>
          whileItRuns(
            Effect.flatMap(api, (api) =>
              Effect.forEach(ids, (id) => api.orders.submit({ payload: newOrder(id) }), { concurrency: "unbounded" })
            )
          )
        // In this order, for orders are begun as they came: those to be lost before the one that they are lost with.
        yield* submit(lost)
        yield* submit(["poison", ...others])
        const left = whileItRuns(
          Effect.flatMap(api, (api) =>
            Effect.map(api.service.metrics(), (now) => now.orders_pending + now.orders_processing)
          )
        )
        yield* Effect.repeat(left, { until: (count) => count === 0, schedule: Schedule.spaced("100 millis") })

        const final = yield* api
        const find = (id: string) => final.orders.find({ path: { order_id: OrderId.make(id) }, urlParams: {} })
        const poison = yield* find("poison")
        assert.strictEqual(poison.status, "Failed")
        assert.strictEqual(Option.getOrThrow(poison.last_error).code, "worker_lost")
        assert.strictEqual(poison.attempts, 5)
        assert.strictEqual(crashes, 5)
        for (const id of [...lost, ...others]) {
          const order = yield* find(id)
          assert.strictEqual(order.status, "Completed", id)
        }
        for (const id of lost) {
          assert.isAtLeast((yield* find(id)).attempts, 2, id)
        }
        assert.strictEqual((yield* final.service.metrics()).total_orders, 101)
      }).pipe(Effect.provide(NodeHttpClient.layer)),
    300_000
  )
})
