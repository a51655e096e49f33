import { assert, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Option, TestClock } from "effect"
import { ServiceStatus } from "../../src/http/ServiceStatus.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import { StorageUnavailable } from "../../src/order/Order.ts"
import type { NodeReport, NodeRow } from "../../src/store/NodeRow.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { type Nodes, OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { CircuitBreaker } from "../../src/work/CircuitBreaker.ts"
import { Fleet } from "../../src/work/Fleet.ts"
import { config, instantProcessor, memoryRepo } from "../support/TestLayers.ts"

const breakerOf = (state: string, failures_in_a_row = 0) => ({
  state,
  failures_in_a_row,
  last_error_code: failures_in_a_row > 0 ? "unavailable" : null,
  opened_at: state === "closed" ? null : 1000,
  next_probe_at: null
})
const figures = { workers: 20, workers_busy: 7, queue_depth: 4, queue_capacity: 40, orders_refused_last_minute: 3 }
const rowOf = (name: string, reported: unknown, silent = 0): NodeRow => ({
  ...{ name, role: "all", version: "9", since: 500, heard_at: 2000 - silent, silent },
  figures: typeof reported === "string" ? reported : JSON.stringify(reported)
})

const statusOn = (nodes: Option.Option<Nodes>) =>
  ServiceStatus.layer.pipe(
    Layer.provideMerge(
      Layer.provide(
        Fleet.layer("9"),
        Layer.effect(
          OrdersRepo,
          Effect.map(OrdersRepo, (repo) => ({ ...repo, nodes }))
        )
      )
    ),
    Layer.provideMerge(CircuitBreaker.layer),
    Layer.provideMerge(Metrics.layer),
    Layer.provideMerge(OrderEvents.layer),
    Layer.provideMerge(memoryRepo),
    Layer.provideMerge(instantProcessor),
    Layer.provideMerge(config({ workers: 10, queueCapacity: 20 }))
  )

const namesOf = ({ nodes }: { readonly nodes: ReadonlyArray<{ readonly name: string; readonly alive: boolean }> }) =>
  nodes.map(({ alive, name }) => `${name} ${alive ? "lives" : "is gone"}`)

it.scoped("adds what the nodes that live report to its own, and shows the worst of their breakers", () =>
  Effect.gen(function* () {
    const reported: Array<NodeReport> = []
    const left: Array<string> = []
    let isDown = false
    const nodes: Nodes = {
      fetch: () => Effect.succeed([]),
      lastChange: Effect.succeed(0),
      changes: () => Effect.succeed({ found: [], next: Option.none() }),
      trim: () => Effect.succeedNone,
      report: (own) =>
        Effect.suspend(() => {
          if (isDown) return new StorageUnavailable()
          reported.push(own)
          return Effect.succeed([
            { ...own, since: 700, heard_at: 2000, silent: 0 },
            rowOf("open", { figures, breaker: breakerOf("open", 5) }),
            rowOf("trying", { figures, breaker: breakerOf("half_open", 10) }, 9999),
            rowOf("gone", { figures, breaker: breakerOf("open", 90) }, 10_000),
            rowOf("newer", { figures: { workers: 1, mood: "good" } }),
            rowOf("odd", "not JSON")
          ])
        }),
      due: (most) => Effect.succeed(Math.min(most, 12_345)),
      leave: (name) => Effect.sync(() => left.push(name)),
      watch: Effect.void
    }
    yield* Effect.gen(function* () {
      const status = yield* ServiceStatus
      const { refused, workerBusy } = yield* Metrics
      workerBusy(1)
      refused("BacklogFull")
      yield* TestClock.adjust("1 second")
      const own = reported.at(-1)
      assert.deepInclude(own, { role: "all", version: "9", up: 1000 })
      assert.include(JSON.parse(own?.figures ?? "").figures, {
        workers: 10,
        workers_busy: 1,
        orders_refused_last_minute: 1
      })

      const now = yield* status.metrics
      assert.deepInclude(now, {
        ...{ workers: 51, workers_busy: 15, queue_depth: 1000, queue_capacity: 100, orders_refused_last_minute: 7 },
        breaker: {
          ...{ state: "open", failures_in_a_row: 5, last_error_code: Option.some("unavailable") },
          ...{ opened_at: Option.some(DateTime.unsafeMake(1000)), next_probe_at: Option.none() }
        }
      })
      assert.strictEqual((yield* status.breaker).state, "closed")
      const gone = "gone is gone"
      const self = own?.name
      assert.deepStrictEqual(namesOf(yield* status.nodes), [
        ...[gone, "newer lives", "odd lives", "open lives", "trying lives", `${self} lives`]
      ])

      isDown = true
      yield* TestClock.adjust("2 seconds")
      assert.include(namesOf(yield* status.nodes), "trying is gone")
      assert.strictEqual((yield* status.metrics).workers, 31)
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual((yield* status.metrics).workers, 10)
      assert.strictEqual((yield* status.metrics).breaker.state, "closed")
      isDown = false
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* status.metrics).workers, 51)
      assert.deepStrictEqual(left, [])
    }).pipe(Effect.provide(statusOn(Option.some(nodes))))
    assert.deepStrictEqual(left, [reported.at(-1)?.name])
  })
)

it.scoped("is the only node with the queue in memory", () =>
  Effect.gen(function* () {
    const { nodes } = yield* Effect.flatMap(ServiceStatus, ({ nodes }) => nodes)
    assert.lengthOf(nodes, 1)
    assert.deepInclude(nodes[0], { role: "all", version: "9", alive: true, workers: 10, workers_busy: 0 })
  }).pipe(Effect.provide(statusOn(Option.none())))
)
