import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Array as Arr, Deferred, Duration, Effect, Fiber, Layer, Option, Queue, Schema } from "effect"
import { Changes, OrderHistory } from "../../src/api/Answers.ts"
import { Change, changeJson } from "../../src/api/Change.ts"
import { eventText, OrderEvent, placeText, resetText } from "../../src/api/OrderEvent.ts"
import { NodeServer } from "../../src/http/NodeServer.ts"
import { Orders } from "../../src/Orders.ts"
import { OrderId } from "../../src/order/Order.ts"
import { type OrderChange, RowKey } from "../../src/order/OrderChange.ts"
import { Command } from "../../src/store/Command.ts"
import { GroupCommit } from "../../src/store/GroupCommit.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { OrderProcessor, Permanent } from "../../src/work/OrderProcessor.ts"
import { longTest } from "../support/Limits.ts"
import { keysFile } from "../support/ProtectedService.ts"
import { at, insert } from "../support/RepoKit.ts"
import { baseUrl, memoryRepo, newOrder, Problem, processor, service } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"
import { nextEvent, openStream } from "../support/Watcher.ts"

const ask = (path: string, method = "GET", key?: string) =>
  Effect.flatMap(baseUrl, (url) =>
    Effect.promise(async (signal) => {
      const headers = key === undefined ? {} : { authorization: `Bearer ${key}` }
      const response = await fetch(`${url}${path}`, { method, headers, signal })
      return { status: response.status, text: await response.text() }
    })
  )

const read = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknown(Schema.parseJson(schema), { onExcessProperty: "error" })
  return (path: string) =>
    Effect.flatMap(ask(path), ({ status, text }) => {
      assert.strictEqual(status, 200, text)
      return decode(text)
    })
}
const history = (path: string) => read(OrderHistory)(`/api/order/${path}`)
const changes = (query = "") => read(Changes)(`/api/changes${query}`)
const idsOf = ({ changes }: { readonly changes: ReadonlyArray<Change> }) => changes.map(({ id }) => id)

/** A service that processes nothing, so that orders change only as they are made to. */
const idle = service({
  repo: memoryRepo,
  settings: { shutdownGrace: Duration.zero },
  processor: Layer.succeed(OrderProcessor, { ready: Effect.never, process: () => Effect.void })
})

const write = (...commands: ReadonlyArray<Command>) =>
  Effect.flatMap(GroupCommit, (commits) => Effect.forEach(commands, (command) => commits.write(command)))
const cancel = (id: number) => Command.Cancel({ order_id: OrderId.make(String(id)), by: Option.none() })
const reopen = (id: number) => Command.Reopen({ order_id: OrderId.make(String(id)), by: Option.none() })
/** Long after all that happens here. */
const later = at(Date.UTC(2999, 0))

/** A repository whose first changes are gone when the service starts, so that they are not at hand either: 4 to 6 are kept. */
const shortened = Layer.effect(
  OrdersRepo,
  Effect.tap(OrdersRepo, (repo) =>
    Effect.zipRight(
      repo.write(Arr.map(Arr.range(1, 6), (id) => insert(id))),
      repo.write([Command.Forget({ before: later, asOf: later, limit: 3 })])
    )
  )
)

const watch = (query = "", headers = {}) =>
  Effect.flatMap(baseUrl, (url) => openStream(url, query, "127.0.0.1", headers))

describe("GET /api/order/{order_id}/history", () => {
  it.live("has the changes of the order, a page at a time", () =>
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), cancel(1), reopen(1), cancel(2), cancel(1))
      const whole = yield* history("1/history")
      assert.deepStrictEqual(idsOf(whole), [1, 3, 4, 6])
      assert.isUndefined(whole.next)
      const first = yield* history("1/history?limit=2")
      assert.deepStrictEqual([idsOf(first), first.next], [[1, 3], 3])
      const second = yield* history(`1/history?limit=2&after=${first.next}`)
      assert.deepStrictEqual([idsOf(second), second.next], [[4, 6], undefined])
      assert.deepStrictEqual(idsOf(yield* history("1/history?after=6")), [])
      assert.deepStrictEqual(idsOf(yield* history("1/history?after=999")), [])
    }).pipe(Effect.provide(idle))
  )

  it.live("is a 404 for an order that is not there, a 410 for one that was pruned, a 422 for what is no place", () =>
    Effect.gen(function* () {
      const problem = (path: string) =>
        Effect.flatMap(ask(`/api/order/${path}`), ({ status, text }) =>
          Effect.map(Schema.decodeUnknown(Problem)(text), ({ errors = [], type }) => [
            status,
            type.replace("urn:orders:problem:", ""),
            ...errors.map(({ pointer }) => pointer)
          ])
        )
      yield* write(insert(1), insert(2), cancel(2), Command.Prune({ before: later, asOf: later, limit: 9 }))
      assert.deepStrictEqual(yield* problem("9/history"), [404, "order-not-found"])
      assert.deepStrictEqual(yield* problem("2/history"), [410, "order-gone"])
      for (const [query, pointer] of [
        ["after=-1", "/after"],
        ["after=x", "/after"],
        ["after=", "/after"],
        ["after=1.5", "/after"],
        ["after=9007199254740993", "/after"],
        ["limit=0", "/limit"],
        ["limit=501", "/limit"],
        ["wait=1", "/wait"]
      ]) {
        assert.deepStrictEqual(yield* problem(`1/history?${query}`), [422, "invalid-request", pointer], query)
      }
    }).pipe(Effect.provide(idle))
  )

  it.live("reads like the story it is", () =>
    Effect.gen(function* () {
      const { file, key } = yield* keysFile({ shop: ["read,submit"], anna: ["read,operate"], ben: ["operate"] })
      const held = yield* Deferred.make<void>()
      let failures = 2
      const settings = { apiKeysFile: Option.some(file), maxAttempts: 2, retryBase: Duration.millis(1) }
      const flaky = processor((_order, { run }) => {
        if (failures-- > 0) return new Permanent({ code: "no_stock", message: `Run ${run} found none` })
        return run === 3 ? Effect.never : Deferred.await(held)
      })
      yield* Effect.gen(function* () {
        const orders = yield* Orders
        const id = OrderId.make("101")
        const isNow = (status: string) => until(Effect.map(orders.find(id), (order) => order.status === status))
        const act = (what: string, name: string) =>
          Effect.map(ask(`/api/order/101/${what}`, "POST", key(name)), ({ status, text }) =>
            assert.strictEqual(status, 200, text)
          )
        yield* orders.accept(newOrder(101))
        yield* isNow("Failed")
        yield* act("retry", "anna")
        yield* isNow("Failed")
        yield* act("retry", "anna")
        yield* isNow("Processing")
        yield* act("cancel", "ben")
        yield* act("retry", "ben")
        yield* isNow("Processing")
        yield* Deferred.succeed(held, undefined)
        yield* isNow("Completed")
        const { text } = yield* ask("/api/order/101/history", "GET", key("shop"))
        const { changes } = yield* Schema.decodeUnknown(Schema.parseJson(OrderHistory))(text)
        assert.deepStrictEqual(
          changes.map(({ attempt, by, error, from, reason, run, to }) =>
            [`${from ?? "new"} > ${to}`, reason, `${run}/${attempt}`, error?.message, by].filter(Boolean).join(", ")
          ),
          [
            "new > Pending, accepted, 0/0",
            "Pending > Processing, claimed, 1/1",
            "Processing > Failed, failed, 1/1, Run 1 found none",
            "Failed > Pending, retried, 1/0, anna",
            "Pending > Processing, claimed, 2/1",
            "Processing > Failed, failed, 2/1, Run 2 found none",
            "Failed > Pending, retried, 2/0, anna",
            "Pending > Processing, claimed, 3/1",
            "Processing > Cancelled, cancelled, 3/1, ben",
            "Cancelled > Pending, retried, 3/0, ben",
            "Pending > Processing, claimed, 4/1",
            "Processing > Completed, completed, 4/1"
          ]
        )
      }).pipe(Effect.provide(service({ repo: memoryRepo, settings, processor: flaky })))
    }).pipe(Effect.scoped, Effect.timeout("20 seconds"))
  )
})

describe("GET /api/changes", () => {
  it.live("has all changes from the oldest on, or those behind one, a page at a time", () =>
    Effect.gen(function* () {
      const none = yield* changes()
      assert.deepStrictEqual([none.changes, none.next, none.reset], [[], 0, undefined])
      yield* write(
        ...Arr.map(Arr.range(1, 5), (id) => insert(id, { user_id: id % 2 === 0 ? "even" : "odd" })),
        cancel(3)
      )
      for (const [query, ids, next] of [
        ["", [1, 2, 3, 4, 5, 6], 6],
        ["?after=0&limit=4", [1, 2, 3, 4], 4],
        ["?after=4&limit=4", [5, 6], 6],
        ["?after=6", [], 6],
        ["?after=6&wait=0", [], 6],
        ["?user_id=even", [2, 4], 6],
        ["?user_id=odd&status=Cancelled", [6], 6],
        ["?order_id=3&limit=1", [3], 3],
        ["?order_id=3&after=3", [6], 6]
      ] as const) {
        const found = yield* changes(query)
        assert.deepStrictEqual([idsOf(found), found.next, found.reset], [[...ids], next, undefined], query)
      }
    }).pipe(Effect.provide(idle))
  )

  it.live("answers a call that waits as soon as there is a change that fits", () =>
    Effect.gen(function* () {
      yield* write(insert(1))
      const waiting = yield* Effect.fork(changes("?after=1&wait=30&status=Cancelled"))
      const brief = yield* changes("?after=1&wait=0.05")
      assert.deepStrictEqual([idsOf(brief), brief.next], [[], 1])
      yield* write(insert(2))
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
      yield* write(cancel(1))
      const found = yield* Fiber.join(waiting)
      assert.deepStrictEqual([idsOf(found), found.next], [[3], 3])
    }).pipe(Effect.timeout("20 seconds"), Effect.provide(idle))
  )

  it.live("answers a call that waits when the service shuts down", () =>
    Effect.gen(function* () {
      const { drain, server } = yield* NodeServer
      const begun = yield* Deferred.make<void>()
      server.once("request", () => Deferred.unsafeDone(begun, Effect.void))
      const waiting = yield* Effect.fork(changes("?wait=30"))
      yield* Deferred.await(begun)
      yield* drain
      assert.deepStrictEqual(idsOf(yield* Fiber.join(waiting)), [])
    }).pipe(Effect.timeout("20 seconds"), Effect.provide(idle))
  )

  it.live("says when some behind a place are not kept any more, and goes on with the oldest", () =>
    Effect.gen(function* () {
      for (const after of [0, 2, 7]) {
        const found = yield* changes(`?after=${after}`)
        assert.deepStrictEqual([idsOf(found), found.next, found.reset], [[4, 5, 6], 6, { oldest: 4 }], String(after))
      }
      for (const [query, ids] of [
        ["", [4, 5, 6]],
        ["?after=3", [4, 5, 6]],
        ["?after=6", []]
      ] as const) {
        const found = yield* changes(query)
        assert.deepStrictEqual([idsOf(found), found.reset], [[...ids], undefined], query)
      }
      const fitting = yield* changes("?after=1&order_id=5")
      assert.deepStrictEqual([idsOf(fitting), fitting.reset], [[5], { oldest: 4 }])
    }).pipe(
      Effect.provide(
        service({
          repo: Layer.provide(shortened, memoryRepo),
          processor: Layer.succeed(OrderProcessor, { ready: Effect.never, process: () => Effect.void }),
          settings: { shutdownGrace: Duration.zero }
        })
      )
    )
  )

  it.live("refuses what is no place, filter or wait: 422", () =>
    Effect.gen(function* () {
      for (const [query, pointer] of [
        ["after=-1", "/after"],
        ["after=now", "/after"],
        ["limit=0", "/limit"],
        ["limit=1001", "/limit"],
        ["wait=31", "/wait"],
        ["wait=", "/wait"],
        ["status=Done", "/status"],
        ["order_id=!", "/order_id"],
        ["since=1", "/since"]
      ]) {
        const { status, text } = yield* ask(`/api/changes?${query}`)
        assert.strictEqual(status, 422, query)
        const { errors = [] } = yield* Schema.decodeUnknown(Problem)(text)
        assert.deepStrictEqual(
          errors.map((fault) => fault.pointer),
          [pointer],
          query
        )
      }
    }).pipe(Effect.provide(idle))
  )
})

describe("GET /api/events", { timeout: longTest }, () => {
  const ids = (stream: Effect.Effect.Success<ReturnType<typeof watch>>, count: number) =>
    Effect.forEach(Arr.range(1, count), () => Effect.map(nextEvent(stream), ({ id }) => id))

  it.live("goes on behind `Last-Event-ID`, or else behind `after`, and then with what comes", () =>
    Effect.gen(function* () {
      yield* write(insert(1), insert(2), insert(3))
      const open = [
        { stream: yield* watch("?after=0"), missed: [1, 2, 3] },
        { stream: yield* watch("?after=1"), missed: [2, 3] },
        { stream: yield* watch("", { "last-event-id": "2" }), missed: [3] },
        { stream: yield* watch("?after=2", { "last-event-id": "" }), missed: [3] },
        { stream: yield* watch("?after=0", { "last-event-id": "2" }), missed: [3] },
        { stream: yield* watch("?order_id=2&after=0"), missed: [2] }
      ]
      const now = yield* watch()
      assert.strictEqual(yield* Queue.take(now.blocks), "retry: 2000\nid: 3")
      yield* write(cancel(2))
      for (const { missed, stream } of open) {
        assert.strictEqual(yield* Queue.take(stream.blocks), "retry: 2000")
        assert.deepStrictEqual(yield* ids(stream, missed.length + 1), [...missed, 4])
      }
      assert.deepStrictEqual(yield* ids(now, 1), [4])
    }).pipe(Effect.scoped, Effect.timeout("20 seconds"), Effect.provide(idle))
  )

  it.live("says when some behind the place are not kept any more, and where it goes on", () =>
    Effect.gen(function* () {
      for (const stream of [yield* watch("?after=2"), yield* watch("", { "last-event-id": "999" })]) {
        assert.strictEqual(yield* Queue.take(stream.blocks), "retry: 2000")
        assert.strictEqual(yield* Queue.take(stream.blocks), 'event: reset\nid: 3\ndata: {"oldest":4}')
        assert.deepStrictEqual(yield* ids(stream, 3), [4, 5, 6])
      }
    }).pipe(
      Effect.scoped,
      Effect.timeout("20 seconds"),
      Effect.provide(
        service({
          repo: Layer.provide(shortened, memoryRepo),
          processor: Layer.succeed(OrderProcessor, { ready: Effect.never, process: () => Effect.void }),
          settings: { shutdownGrace: Duration.zero }
        })
      )
    )
  )

  it.live("refuses a place that is none: 422", () =>
    Effect.gen(function* () {
      for (const [query, headers] of [
        ["?after=-1", {}],
        ["?after=x", {}],
        ["", { "last-event-id": "x" }],
        ["?after=1", { "last-event-id": "1.5" }]
      ] as const) {
        assert.strictEqual((yield* watch(query, headers)).status, 422, JSON.stringify([query, headers]))
      }
    }).pipe(Effect.scoped, Effect.provide(idle))
  )
})

describe("a change as it goes out", () => {
  /** The change that the schema makes of its JSON. */
  const changeOf = ({ by, error, from, next_attempt_at, ...rest }: Change): OrderChange => ({
    ...rest,
    key: RowKey(1),
    from: Option.fromNullable(from),
    error: Option.fromNullable(error),
    next_attempt_at: Option.fromNullable(next_attempt_at),
    by: Option.fromNullable(by)
  })

  it.prop("is what the schema makes of it, in answers and in events", [Arbitrary.make(Change)], ([change]) => {
    const json = changeJson(changeOf(change))
    assert.deepStrictEqual(json, Schema.encodeSync(Change)(change))
    const text = eventText(changeOf(change))
    const event = { ...change, status: change.to, attempts: change.attempt }
    assert.match(text, /^event: order\nid: \d+\ndata: [^\n]+\n\n$/)
    assert.include(text, `\nid: ${change.id}\n`)
    assert.deepStrictEqual(
      JSON.parse(text.split("data: ").slice(1).join("data: ")),
      Schema.encodeSync(OrderEvent)(event)
    )
  })

  it("names a place with an id alone, and a reset with the id before the oldest", () => {
    assert.strictEqual(placeText(7), "id: 7\n\n")
    assert.strictEqual(resetText(7), 'event: reset\nid: 6\ndata: {"oldest":7}\n\n')
  })
})
