import type * as Http from "node:http"
import * as Net from "node:net"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import {
  Array as Arr,
  Chunk,
  Context,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Fiber,
  Layer,
  Option,
  Queue,
  Schema,
  Stream,
  TestClock
} from "effect"
import { makeEventStream } from "../../src/http/EventStream.ts"
import { NodeServer } from "../../src/http/NodeServer.ts"
import { Orders } from "../../src/Orders.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import { OrderId } from "../../src/order/Order.ts"
import { ChangeFeed } from "../../src/store/ChangeFeed.ts"
import { GroupCommit } from "../../src/store/GroupCommit.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrderProcessor, Permanent } from "../../src/work/OrderProcessor.ts"
import { longTest } from "../support/Limits.ts"
import { cancel, claim, commit, failed, record, reopen } from "../support/RepoKit.ts"
import { anInsert, baseUrl, client, config, memoryRepo, newOrder, processor, service } from "../support/TestLayers.ts"
import { turns, until } from "../support/Until.ts"
import { isNoEvent, nextEvent, nextEvents, openStream } from "../support/Watcher.ts"

const get = (path: string) =>
  Effect.flatMap(baseUrl, (url) =>
    Effect.promise(async (signal) => {
      const response = await fetch(`${url}${path}`, { signal })
      return { status: response.status, headers: response.headers, text: await response.text() }
    })
  )

const Found = Schema.parseJson(Schema.Struct({ order_id: Schema.Number, status: Schema.String }))
const Problem = Schema.parseJson(
  Schema.Struct({
    type: Schema.String,
    limit: Schema.optional(Schema.Int),
    scope: Schema.optional(Schema.String),
    errors: Schema.optional(Schema.Array(Schema.Struct({ pointer: Schema.String })))
  })
)

const statusOf = (answer: Effect.Effect.Success<ReturnType<typeof get>>) => {
  assert.strictEqual(answer.status, 200, answer.text)
  return Effect.map(Schema.decodeUnknown(Found)(answer.text), ({ status }) => status)
}

const submit = (order_id: number | string, rest?: object) =>
  Effect.flatMap(client, (api) => api.orders.submit({ payload: newOrder(order_id, rest) }))

class Hold extends Context.Tag("test/Hold")<Hold, Deferred.Deferred<void>>() {}

/** A service whose processor holds every order until it is told to go on. */
const heldService = Layer.unwrapEffect(
  Effect.map(Deferred.make<void>(), (hold) =>
    Layer.merge(
      Layer.succeed(Hold, hold),
      service({
        repo: memoryRepo,
        settings: { shutdownGrace: Duration.zero },
        processor: processor((order) =>
          Effect.zipRight(
            Deferred.await(hold),
            order.order_id === "13" ? new Permanent({ code: "unlucky", message: "It is 13" }) : Effect.void
          )
        )
      })
    )
  )
)

const letGo = Effect.flatMap(Hold, (hold) => Deferred.succeed(hold, undefined))

/** Ends as soon as the server has begun with a request for that path. */
const arrival = (path: string) =>
  Effect.flatMap(NodeServer, ({ server }) =>
    Effect.async<void>((resume) => {
      const onRequest = (request: Http.IncomingMessage) => {
        if (request.url !== path) return
        server.off("request", onRequest)
        setImmediate(() => resume(Effect.void))
      }
      server.on("request", onRequest)
    })
  )

/** A request on its way, which the server has begun with but not answered. */
const waiting = (path: string) =>
  Effect.gen(function* () {
    const begun = yield* Effect.fork(arrival(path))
    yield* Effect.yieldNow()
    const answer = yield* Effect.fork(get(path))
    yield* Fiber.join(begun)
    assert.isTrue(Option.isNone(yield* Fiber.poll(answer)))
    return answer
  })

const watch = (query?: string, address?: string) => Effect.flatMap(baseUrl, (url) => openStream(url, query, address))

/** An address of this machine. Ten indexes share one, as ten streams may. */
const addressOf = (index: number) => `127.0.0.${2 + Math.floor(index / 10)}`

/** An event stream that has said its first words. */
const opened = (query?: string, address?: string) =>
  Effect.gen(function* () {
    const stream = yield* watch(query, address)
    assert.strictEqual(stream.status, 200)
    assert.match(yield* Queue.take(stream.blocks), /^retry: 2000\nid: \d+$/)
    return stream
  })

/** Lets the real event loop turn too, which writes need. */
const adjustTo = (duration: Parameters<typeof TestClock.adjust>[0]) =>
  Effect.zipRight(turns, Effect.zipRight(TestClock.adjust(duration), turns))

describe("waiting for an order", () => {
  const waitFor = "an order that is asked for with ?wait"

  it.live(`${waitFor} is answered at once when it is final`, () =>
    Effect.gen(function* () {
      yield* letGo
      yield* submit(1)
      yield* submit(13)
      const api = yield* client
      yield* until(Effect.map(api.service.metrics(), ({ total_processed }) => total_processed === 2))
      assert.strictEqual(yield* statusOf(yield* Effect.timeout(get("/api/order/1?wait=30"), "10 seconds")), "Completed")
      assert.strictEqual(yield* statusOf(yield* Effect.timeout(get("/api/order/13?wait=30"), "10 seconds")), "Failed")
    }).pipe(Effect.provide(heldService))
  )

  it.live(`${waitFor} is answered when it becomes final: Completed, Failed or Cancelled`, () =>
    Effect.gen(function* () {
      for (const id of [1, 2, 13]) yield* submit(id)
      const [one, again, two, thirteen] = [
        yield* waiting("/api/order/1?wait=30"),
        yield* waiting("/api/order/1?wait=29.5"),
        yield* waiting("/api/order/2?wait=30"),
        yield* waiting("/api/order/13?wait=30")
      ]
      const api = yield* client
      yield* api.orders.cancel({ path: { order_id: OrderId.make("2") } })
      assert.strictEqual(yield* statusOf(yield* Fiber.join(two)), "Cancelled")
      for (const answer of [one, again, thirteen]) assert.isTrue(Option.isNone(yield* Fiber.poll(answer)))
      yield* letGo
      assert.strictEqual(yield* statusOf(yield* Fiber.join(one)), "Completed")
      assert.strictEqual(yield* statusOf(yield* Fiber.join(again)), "Completed")
      assert.strictEqual(yield* statusOf(yield* Fiber.join(thirteen)), "Failed")
    }).pipe(Effect.timeout("20 seconds"), Effect.provide(heldService))
  )

  it.live(`${waitFor}=0 is answered as it is`, () =>
    Effect.gen(function* () {
      yield* submit(1)
      const api = yield* client
      yield* until(Effect.map(api.service.metrics(), ({ orders_processing }) => orders_processing === 1))
      for (const wait of ["0", "0.001"]) {
        assert.strictEqual(yield* statusOf(yield* get(`/api/order/1?wait=${wait}`)), "Processing")
      }
    }).pipe(Effect.provide(heldService))
  )

  it.scoped("after the time it is answered as it is then, and not before", () =>
    Effect.gen(function* () {
      const orders = yield* Orders
      yield* orders.accept(newOrder(1))
      const answer = yield* Effect.fork(orders.findFinal(OrderId.make("1"), "10 seconds", Effect.never))
      yield* adjustTo("9999 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(answer)))
      yield* adjustTo("1 millis")
      assert.strictEqual((yield* Fiber.join(answer)).status, "Pending")

      const noLonger = yield* Deferred.make<void>()
      const ended = yield* Effect.fork(orders.findFinal(OrderId.make("1"), "10 seconds", Deferred.await(noLonger)))
      yield* adjustTo("1 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(ended)))
      yield* Deferred.succeed(noLonger, undefined)
      assert.strictEqual((yield* Fiber.join(ended)).status, "Pending")

      const cancelled = yield* Effect.fork(orders.findFinal(OrderId.make("1"), "10 seconds", Effect.never))
      yield* adjustTo("5 seconds")
      yield* orders.cancel(OrderId.make("1"))
      assert.strictEqual((yield* Fiber.join(cancelled)).status, "Cancelled")
    }).pipe(
      Effect.provide(
        Orders.layer.pipe(
          Layer.provide(Metrics.layer),
          Layer.provide(GroupCommit.layer),
          Layer.provide(OrderEvents.layer),
          Layer.provide(memoryRepo),
          Layer.provide(config())
        )
      )
    )
  )

  it.live(`${waitFor} and does not exist: 404 at once; with a bad value: 422`, () =>
    Effect.gen(function* () {
      const answer = yield* Effect.timeout(get("/api/order/1?wait=30"), "10 seconds")
      assert.strictEqual(answer.status, 404)
      const problem = yield* Schema.decodeUnknown(Problem)(answer.text)
      assert.strictEqual(problem.type, "urn:orders:problem:order-not-found")

      yield* submit(1)
      for (const value of ["", "-1", "30.1", "31", "1e400", "NaN", "Infinity", "soon", "10s", "1&wait=2", "%00"]) {
        const answer = yield* get(`/api/order/1?wait=${value}`)
        assert.strictEqual(answer.status, 422, value)
        const { errors } = yield* Schema.decodeUnknown(Problem)(answer.text)
        assert.deepStrictEqual(errors, [{ pointer: "/wait" }], value)
      }
      const unknown = yield* get("/api/order/1?waits=1")
      assert.strictEqual(unknown.status, 422)
      assert.deepStrictEqual((yield* Schema.decodeUnknown(Problem)(unknown.text)).errors, [{ pointer: "/waits" }])
    }).pipe(Effect.provide(heldService))
  )

  it.live(`${waitFor} is answered as it is when the service shuts down`, () =>
    Effect.gen(function* () {
      const { drain } = yield* NodeServer
      yield* submit(1)
      const answer = yield* waiting("/api/order/1?wait=30")
      yield* drain
      const { headers, status } = yield* Fiber.join(answer)
      assert.strictEqual(status, 200)
      assert.strictEqual(headers.get("connection"), "close")
      yield* letGo
    }).pipe(Effect.timeout("10 seconds"), Effect.provide(heldService))
  )

  it.live("a client that hangs up while it waits disturbs nobody", () =>
    Effect.gen(function* () {
      yield* submit(1)
      const [gone, stays] = [yield* waiting("/api/order/1?wait=30"), yield* waiting("/api/order/1?wait=29")]
      yield* Fiber.interrupt(gone)
      yield* letGo
      assert.strictEqual(yield* statusOf(yield* Fiber.join(stays)), "Completed")
    }).pipe(Effect.timeout("20 seconds"), Effect.provide(heldService))
  )
})

const streamLayers = Layer.merge(ChangeFeed.layer, NodeServer.layer).pipe(
  Layer.provideMerge(OrderEvents.layer),
  Layer.provideMerge(memoryRepo),
  Layer.provideMerge(config())
)

/** A service that processes nothing, so that orders change only as they are made to. */
const idleService = service({
  repo: memoryRepo,
  settings: { shutdownGrace: Duration.zero },
  processor: Layer.succeed(OrderProcessor, { ready: Effect.never, process: () => Effect.void })
})

const crowd = Arr.range(1, 256)

/** The changes that many orders make together when they are cancelled and retried, again and again. */
const makeChanges = Effect.gen(function* () {
  const commits = yield* GroupCommit
  yield* commits.writeAll(crowd.map((id) => anInsert(id)))
  let toCancel = true
  return Effect.suspend(() => {
    const commands = crowd.map((id) => (toCancel ? cancel(id) : reopen(id)))
    toCancel = !toCancel
    return commits.writeAll(commands)
  })
})

const bodyOf = ({ body }: HttpServerResponse.HttpServerResponse) => {
  assert(body._tag === "Stream")
  return Stream.decodeText(Stream.orDie(body.stream))
}

const idsIn = (text: string) => [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]))

/** An event stream whose client never reads, as the server has it. */
const unread = Effect.gen(function* () {
  const { server } = yield* NodeServer
  const { hostname, port } = new URL(yield* baseUrl)
  const accepted = yield* Effect.fork(
    Effect.async<Net.Socket>((resume) => {
      server.once("connection", (socket) => resume(Effect.succeed(socket)))
    })
  )
  yield* Effect.yieldNow()
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const socket = Net.connect(Number(port), hostname)
      socket.write("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
      return socket.on("error", () => {}).pause()
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const socket = yield* Fiber.join(accepted)
  yield* until(Effect.sync(() => socket.bytesWritten > 0))
  return socket
})

describe("the event stream", { timeout: longTest }, () => {
  it.scoped("begins with the delay before connecting again and its place, and comments after 15 quiet seconds", () =>
    Effect.gen(function* () {
      yield* commit(anInsert(1))
      const streamEvents = yield* makeEventStream
      const pull = yield* Stream.toPull(bodyOf(yield* streamEvents({}, Option.none(), "shop", Effect.never)))
      const next = Effect.map(pull, Chunk.join(""))
      assert.strictEqual(yield* next, "retry: 2000\nid: 1\n\n")

      const first = yield* Effect.fork(next)
      yield* TestClock.adjust("14999 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(first)))
      yield* TestClock.adjust("1 millis")
      const comment = yield* Fiber.join(first)
      assert.match(comment, /^:[^\n]*\n\n$/)

      const event = yield* Effect.fork(next)
      yield* TestClock.adjust("10 seconds")
      yield* commit(anInsert(2))
      assert.strictEqual(
        yield* Fiber.join(event),
        'event: order\nid: 2\ndata: {"id":2,"order_id":2,"user_id":1,"from":null,"to":"Pending",' +
          '"at":"1970-01-01T00:00:25.000Z","run":0,"attempt":0,"reason":"accepted","error":null,' +
          '"next_attempt_at":null,"by":null,"status":"Pending","attempts":0}\n\n'
      )
      const second = yield* Effect.fork(next)
      yield* TestClock.adjust("14999 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(second)))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(second), comment)
    }).pipe(Effect.provide(streamLayers))
  )

  it.scoped("of a few changes says with its comments how far it has looked, once for each place", () =>
    Effect.gen(function* () {
      const streamEvents = yield* makeEventStream
      const filter = { status: "Cancelled" } as const
      const pull = yield* Stream.toPull(bodyOf(yield* streamEvents(filter, Option.none(), "shop", Effect.never)))
      assert.strictEqual(Chunk.join(yield* pull, ""), "retry: 2000\nid: 0\n\n")
      const next = Effect.gen(function* () {
        const text = yield* Effect.fork(Effect.map(pull, Chunk.join("")))
        yield* turns
        yield* TestClock.adjust("15 seconds")
        return yield* Fiber.join(text)
      })
      yield* commit(anInsert(1), anInsert(2))
      assert.match(yield* next, /^: [^\n]*\nid: 2\n\n$/)
      assert.match(yield* next, /^: [^\n]*\n\n$/)
      yield* commit(anInsert(3))
      yield* commit(cancel(1))
      assert.deepStrictEqual(idsIn(yield* next), [4])
      assert.match(yield* next, /^: [^\n]*\n\n$/)
    }).pipe(Effect.provide(streamLayers))
  )

  it.scopedLive("gives a client that did not read for a while all that happened, once and in order", () =>
    Effect.gen(function* () {
      const streamEvents = yield* makeEventStream
      const slow = yield* Stream.toPull(bodyOf(yield* streamEvents({}, Option.none(), "shop", Effect.never)))
      yield* slow
      const [first, ...rest] = Arr.map(Arr.range(1, 100), (id) => anInsert(id))
      yield* commit(first, ...rest)
      for (let round = 1; round < 100; round++) {
        const [first, ...rest] = Arr.map(Arr.range(1, 100), (id) => (round % 2 === 1 ? cancel(id) : reopen(id)))
        yield* commit(first, ...rest)
      }
      const seen: Array<number> = []
      while (seen.length < 10_000) seen.push(...idsIn(Chunk.join(yield* slow, "")))
      assert.deepStrictEqual(seen, Arr.range(1, 10_000))
      yield* commit(anInsert(101))
      assert.deepStrictEqual(idsIn(Chunk.join(yield* slow, "")), [10_001])
    }).pipe(Effect.timeout("20 seconds"), Effect.provide(streamLayers))
  )

  it.scoped("ends when the drain begins", () =>
    Effect.gen(function* () {
      const streamEvents = yield* makeEventStream
      const { drain } = yield* NodeServer
      const watching = yield* Effect.fork(
        Stream.mkString(bodyOf(yield* streamEvents({}, Option.none(), "shop", Effect.never)))
      )
      yield* Effect.yieldNow()
      assert.isTrue(Option.isNone(yield* Fiber.poll(watching)))
      yield* Effect.fork(drain)
      assert.strictEqual(yield* Fiber.join(watching), "retry: 2000\nid: 0\n\n")
    }).pipe(Effect.provide(streamLayers))
  )

  /** Streams that are opened by their owner's name, each with the texts it has received. */
  const opener = Effect.map(
    makeEventStream,
    (streamEvents) => (owner: string) =>
      Effect.gen(function* () {
        const texts: Array<string> = []
        const watching = yield* Effect.fork(
          Stream.runForEach(bodyOf(yield* streamEvents({}, Option.none(), owner, Effect.never)), (text) =>
            Effect.sync(() => void texts.push(text))
          )
        )
        yield* turns
        return { texts, isOpen: Effect.map(Fiber.poll(watching), Option.isNone) }
      })
  )

  it.scoped("gives the place of the oldest to a new one, when all are taken and it has been open for a minute", () =>
    Effect.gen(function* () {
      const watch = yield* opener
      const streams = yield* Effect.forEach(Arr.range(1, 100), (index) => watch(`shop ${index % 10}`))
      yield* TestClock.adjust("59999 millis")
      assert.deepInclude(yield* Effect.flip(watch("new")), { _tag: "TooManyStreams", limit: 100, scope: "service" })
      yield* TestClock.adjust("1 millis")
      for (const taken of [1, 2, 3]) {
        streams.push(yield* watch("new"))
        assert.deepStrictEqual(
          yield* Effect.forEach(streams, ({ isOpen }) => isOpen),
          Arr.makeBy(100 + taken, (index) => index >= taken)
        )
      }
      yield* commit(anInsert(7))
      yield* turns
      for (const [index, { texts }] of streams.entries())
        assert.strictEqual(texts.join("").includes('"order_id":7'), index >= 3)
    }).pipe(Effect.provide(streamLayers))
  )

  it.scoped(
    "of an owner who has ten open takes the place of its own oldest, once that has been open for a minute",
    () =>
      Effect.gen(function* () {
        const watch = yield* opener
        const before = yield* watch("warehouse")
        const own = yield* Effect.forEach(Arr.range(1, 10), () => watch("shop"))
        yield* TestClock.adjust("59999 millis")
        assert.deepInclude(yield* Effect.flip(watch("shop")), { _tag: "TooManyStreams", limit: 10, scope: "client" })
        const after = yield* watch("warehouse")
        yield* TestClock.adjust("1 millis")
        own.push(yield* watch("shop"))
        assert.deepStrictEqual(
          yield* Effect.forEach(own, ({ isOpen }) => isOpen),
          Arr.makeBy(11, (index) => index >= 1)
        )
        for (const { isOpen } of [before, after]) assert.isTrue(yield* isOpen)
      }).pipe(Effect.provide(streamLayers))
  )

  it.live("shows Pending, Processing and Completed of an order posted meanwhile", () =>
    Effect.gen(function* () {
      const stream = yield* opened()
      assert.strictEqual(stream.headers["content-type"], "text/event-stream")
      assert.strictEqual(stream.headers["cache-control"], "no-store")
      assert.strictEqual(stream.headers["x-accel-buffering"], "no")
      yield* submit(101, { user_id: "u-1" })
      const [pending, processing] = [yield* nextEvent(stream), yield* nextEvent(stream)]
      yield* letGo
      const completed = yield* nextEvent(stream)
      const order = { order_id: 101, user_id: "u-1" }
      assert.deepInclude(pending, { ...order, status: "Pending", attempts: 0 })
      assert.deepInclude(processing, { ...order, status: "Processing", attempts: 1 })
      assert.deepInclude(completed, { ...order, status: "Completed", attempts: 1 })
      assert.isTrue(pending.at <= processing.at && processing.at <= completed.at)

      const api = yield* client
      const found = yield* api.orders.find({ path: { order_id: OrderId.make("101") }, urlParams: {} })
      assert.strictEqual(DateTime.formatIso(found.accepted_at), pending.at)
      assert.deepStrictEqual(Option.map(found.started_at, DateTime.formatIso), Option.some(processing.at))
      assert.deepStrictEqual(Option.map(found.finished_at, DateTime.formatIso), Option.some(completed.at))
    }).pipe(Effect.scoped, Effect.timeout("20 seconds"), Effect.provide(heldService))
  )

  it.live("shows what was asked for only", () =>
    Effect.gen(function* () {
      yield* letGo
      const byOrder = yield* opened("?order_id=2")
      const byUser = yield* opened("?user_id=7")
      const byStatus = yield* opened("?status=Failed")
      const byAll = yield* opened("?order_id=13&user_id=7&status=Failed")
      const byNothingThatFits = yield* opened("?order_id=2&user_id=7")
      const all = yield* opened()
      // One after the other, so that the last event of the last order comes last everywhere.
      for (const [id, user] of [
        [1, 7],
        [2, 1],
        [13, 7]
      ] as const) {
        yield* submit(id, { user_id: user })
        yield* nextEvents(all, 3)
      }
      const whole = (id: number) => [`${id} Pending`, `${id} Processing`, `${id} Completed`]
      assert.deepStrictEqual(yield* nextEvents(byOrder, 3), whole(2))
      assert.deepStrictEqual(yield* nextEvents(byUser, 6), [...whole(1), "13 Pending", "13 Processing", "13 Failed"])
      assert.deepStrictEqual(yield* nextEvents(byStatus, 1), ["13 Failed"])
      assert.deepStrictEqual(yield* nextEvents(byAll, 1), ["13 Failed"])
      const { drain } = yield* NodeServer
      yield* drain
      for (const stream of [byOrder, byUser, byStatus, byAll, byNothingThatFits, all]) {
        assert.isTrue(yield* stream.ended)
        assert.isTrue(Chunk.every(yield* Queue.takeAll(stream.blocks), isNoEvent))
      }
    }).pipe(Effect.scoped, Effect.timeout("20 seconds"), Effect.provide(heldService))
  )

  it.live("refuses a filter that is none: 422", () =>
    Effect.gen(function* () {
      for (const [query, pointer] of [
        ["status=Done", "/status"],
        ["status=pending", "/status"],
        ["order_id=-1", "/order_id"],
        ["user_id=", "/user_id"],
        ["since=1", "/since"]
      ] as const) {
        const answer = yield* get(`/api/events?${query}`)
        assert.strictEqual(answer.status, 422, query)
        const { errors } = yield* Schema.decodeUnknown(Problem)(answer.text)
        assert.deepStrictEqual(errors, [{ pointer }], query)
      }
    }).pipe(Effect.provide(heldService))
  )

  it.live("is open to 100 at a time, even when more ask at once; who leaves frees a place", () =>
    Effect.gen(function* () {
      const streams = yield* Effect.all(
        Arr.makeBy(130, (index) => watch("", addressOf(index))),
        { concurrency: "unbounded" }
      )
      const [refused, open] = Arr.partition(streams, ({ status }) => status === 200)
      assert.strictEqual(open.length, 100)
      for (const { headers, status } of refused) {
        assert.strictEqual(status, 503)
        assert.strictEqual(headers["retry-after"], "10")
        assert.strictEqual(headers["content-type"], "application/problem+json")
      }
      const answer = yield* get("/api/events")
      assert.strictEqual(answer.status, 503)
      const problem = yield* Schema.decodeUnknown(Problem)(answer.text)
      assert.deepInclude(problem, { type: "urn:orders:problem:too-many-streams", limit: 100, scope: "service" })

      for (const { close } of open.slice(0, 2)) yield* close
      yield* until(Effect.map(watch(), ({ status }) => status === 200))
      yield* until(Effect.map(watch(), ({ status }) => status === 200))
      assert.strictEqual((yield* watch()).status, 503)

      // Those that stayed see what happens.
      yield* submit(1)
      for (const stream of open.slice(2)) {
        yield* Queue.take(stream.blocks)
        assert.deepStrictEqual(yield* nextEvents(stream, 1), ["1 Pending"])
      }
    }).pipe(Effect.scoped, Effect.timeout("200 seconds"), Effect.provide(heldService))
  )

  it.live("is open to ten of one address at a time, and to another address then", () =>
    Effect.gen(function* () {
      const streams = yield* Effect.all(
        Arr.makeBy(12, () => watch()),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(streams.map(({ status }) => status).sort(), [...Arr.makeBy(10, () => 200), 503, 503])
      const { headers, text } = yield* get("/api/events")
      assert.strictEqual(headers.get("retry-after"), "10")
      const problem = yield* Schema.decodeUnknown(Problem)(text)
      assert.deepInclude(problem, { type: "urn:orders:problem:too-many-streams", limit: 10, scope: "client" })
      yield* opened("", "127.0.0.2")
    }).pipe(Effect.scoped, Effect.timeout("20 seconds"), Effect.provide(heldService))
  )

  it.live("takes no place for a HEAD request", () =>
    Effect.gen(function* () {
      const url = yield* baseUrl
      for (let count = 0; count < 110; count++) {
        const { headers, status } = yield* Effect.promise(() => fetch(`${url}/api/events`, { method: "HEAD" }))
        assert.strictEqual(status, 200)
        assert.strictEqual(headers.get("content-type"), "text/event-stream")
      }
      yield* opened()
    }).pipe(Effect.scoped, Effect.timeout("20 seconds"), Effect.provide(heldService))
  )

  it.live("to a client that does not read no more is written than it takes", () =>
    Effect.gen(function* () {
      const change = yield* makeChanges
      const socket = yield* unread
      let most = 0
      for (let round = 0; round < 120; round++) {
        yield* change
        yield* turns
        most = Math.max(most, socket.writableLength)
      }
      // 120 * 256 events are some 10 MB; the buffers of the system hold a few.
      assert.isAbove(most, 0)
      assert.isBelow(most, 512 * 1024)
    }).pipe(Effect.scoped, Effect.timeout("200 seconds"), Effect.provide(idleService))
  )

  it.live("is closed on a client that reads nothing for a minute, and so gives its place back", () =>
    Effect.gen(function* () {
      const { server } = yield* NodeServer
      assert.strictEqual(server.timeout, 60_000)
      const change = yield* makeChanges
      yield* submit("last")
      server.timeout = 1000
      const socket = yield* unread
      const readers = yield* Effect.all(
        Arr.makeBy(99, (index) => opened("?status=Failed", addressOf(index))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual((yield* watch()).status, 503)
      while (!socket.destroyed) {
        yield* change
        yield* Effect.zipRight(turns, Effect.sleep("1 millis"))
      }
      yield* until(Effect.map(watch(), ({ status }) => status === 200))
      // Who had nothing to read lost nothing.
      const commits = yield* GroupCommit
      yield* commits.write(claim(257))
      yield* commits.write(record(257, 1, failed()))
      for (const reader of readers) assert.deepStrictEqual(yield* nextEvents(reader, 1), ["last Failed"])
    }).pipe(Effect.scoped, Effect.timeout("200 seconds"), Effect.provide(idleService))
  )
})
