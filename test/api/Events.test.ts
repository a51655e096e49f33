import * as Path from "node:path"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Chunk, Clock, Deferred, Effect, Exit, Fiber, Layer, Stream, TestClock } from "effect"
import * as Client from "../../src/api/Client.ts"
import { type AnyProblem, answerOf, Starting, TooManyStreams, Unauthorized } from "../../src/api/Problems.ts"
import { OrderId } from "../../src/order/Order.ts"
import { longTest } from "../support/Limits.ts"
import { baseUrl, client, memoryRepo, newOrder, service, sqlRepo, temporaryFolder } from "../support/TestLayers.ts"
import { turn, until } from "../support/Until.ts"

const options = { baseUrl: "http://orders.test/below" }

const event = (id: number, order_id: number | string = id) => {
  const change = {
    ...{ id, order_id, user_id: "u-7", from: "Processing", to: "Failed", at: "2026-01-31T12:00:02.004Z" },
    ...{ run: 1, attempt: 1, reason: "failed", error: { code: "full", message: "Überfüllt 🛒" } },
    ...{ next_attempt_at: null, by: null }
  }
  const data = JSON.stringify({ ...change, status: change.to, attempts: change.attempt })
  return `event: order\nid: ${id}\ndata: ${data}\n\n`
}

const reset = (oldest: number) => `event: reset\nid: ${oldest - 1}\ndata: {"oldest":${oldest}}\n\n`

type End = "open" | "ended" | "broken"

/** A stream that sends these bytes and then stays open, ends or breaks. */
const stream = (end: End, text: string, size = Number.POSITIVE_INFINITY) => {
  const bytes = new TextEncoder().encode(text)
  let sent = 0
  const body = new ReadableStream({
    pull: (controller) => {
      if (sent < bytes.length) {
        controller.enqueue(bytes.slice(sent, sent + size))
        sent += size
      } else if (end === "ended") controller.close()
      else if (end === "broken") controller.error(new Error("cut"))
    }
  })
  return new Response(body, { headers: { "content-type": "text/event-stream" } })
}

const refused = (problem: AnyProblem) => {
  const { headers, status, text } = answerOf(problem)
  return new Response(text, { status, headers })
}

/** None is no service. */
type Answer = () => Response | undefined

/** A client whose requests are answered so one after the other, the last answer again and again. */
const answering = (...answers: ReadonlyArray<Answer>) => {
  const requests: Array<{ readonly query: string; readonly at: number }> = []
  const layer = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => {
        const response = answers[Math.min(requests.length, answers.length - 1)]?.()
        requests.push({ query: url.search, at })
        return response === undefined
          ? Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport" }))
          : Effect.succeed(HttpClientResponse.fromWeb(request, response))
      })
    )
  )
  return { requests, layer }
}

const shown = (news: Stream.Stream.Success<ReturnType<typeof Client.events>>) =>
  news instanceof Client.EventsReset ? `reset ${news.oldest}` : news.id

/** Waits, in time that passes by quarters of a second, for the end of the effect. */
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    while ((yield* Fiber.poll(fiber))._tag === "None") {
      yield* turn
      yield* TestClock.adjust("250 millis")
    }
    return yield* Fiber.join(fiber)
  })

/** The first events by their ids, over any number of connections. */
const first = (
  count: number,
  ...[from, reports]: [from?: { after?: number; order_id?: OrderId }, reports?: Client.EventsReports]
) =>
  Client.events(options, from, reports).pipe(
    Stream.take(count),
    Stream.map(shown),
    Stream.runCollect,
    Effect.map(Chunk.toReadonlyArray),
    inTime
  )

describe("one connection to the events", () => {
  it.effect("gives them as they are sent, however they are cut, and ends with it", () => {
    const text = `retry: 2000\nid: 6\n\n${event(7)}: still here\n\n${reset(20)}event: later\ndata: ?\n\n${event(20, "a-1")}`
    const { layer, requests } = answering(() => stream("ended", text, 1))
    return Effect.gen(function* () {
      const filter = { order_id: OrderId.make("7"), status: "Failed" } as const
      const events = yield* Effect.flatMap(Client.openEvents(options, filter, 6), Stream.runCollect)
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(events).map((news) =>
          news instanceof Client.EventsReset ? news : [news.id, news.order_id, news.to, news.error?.message]
        ),
        [
          [7, "7", "Failed", "Überfüllt 🛒"],
          new Client.EventsReset({ oldest: 20 }),
          [20, "a-1", "Failed", "Überfüllt 🛒"]
        ]
      )
      assert.deepStrictEqual(
        requests.map(({ query }) => query),
        ["?order_id=7&status=Failed&after=6"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with the problem that refused it, or with the answer that was none", () => {
    const refusal = new TooManyStreams({ limit: 10, scope: "client", retry_after: 10 })
    const fail = Effect.flip(Client.openEvents(options))
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.provide(fail, answering(() => refused(refusal)).layer), refusal)
      const unknown = yield* Effect.provide(fail, answering(() => new Response("<p>", { status: 404 })).layer)
      assert.strictEqual(unknown._tag, "ResponseError")
    })
  })

  it.effect("fails when three heartbeats are missing", () =>
    Effect.gen(function* () {
      const opened = yield* Deferred.make<void>()
      const watching = yield* Client.openEvents(options).pipe(
        Effect.tap(Deferred.succeed(opened, undefined)),
        Effect.flatMap(Stream.runDrain),
        Effect.fork
      )
      yield* Deferred.await(opened)
      yield* TestClock.adjust("45 seconds")
      assert.deepStrictEqual(yield* Fiber.await(watching), Exit.fail(new Client.EventsSilent({ seconds: 45 })))
    }).pipe(Effect.provide(answering(() => stream("open", "")).layer))
  )
})

describe("the events of the client", { timeout: longTest }, () => {
  it.effect("go on behind the last one after any end of a connection", () => {
    const lost: Array<string> = []
    let opened = 0
    const { layer, requests } = answering(
      () => stream("ended", event(7) + event(8)),
      () => undefined,
      () => stream("broken", event(9)),
      () => refused(new Starting({ retry_after: 1 })),
      () => stream("open", event(10)),
      () => stream("open", event(11))
    )
    return Effect.gen(function* () {
      const ids = yield* first(
        5,
        { after: 6 },
        {
          onOpen: Effect.sync(() => {
            opened += 1
          }),
          onLost: ({ _tag }) => Effect.sync(() => lost.push(_tag))
        }
      )
      assert.deepStrictEqual(ids, [7, 8, 9, 10, 11])
      assert.deepStrictEqual(
        requests.map(({ query }) => query),
        ["?after=6", "?after=8", "?after=8", "?after=9", "?after=9", "?after=10"]
      )
      assert.deepStrictEqual(lost, ["EventsEnded", "RequestError", "ResponseError", "Starting", "EventsSilent"])
      assert.strictEqual(opened, 4)
      const [, , , fourth, fifth, sixth] = requests.map(({ at }) => at)
      assert.isAtLeast((fifth ?? 0) - (fourth ?? 0), 1000)
      assert.isAtLeast((sixth ?? 0) - (fifth ?? 0), 45_000)
    }).pipe(Effect.provide(layer))
  })

  it.effect(
    "go on from the place that was named last, be it without an event, but not in a block that is cut off",
    () => {
      const whole = event(9)
      const { layer, requests } = answering(
        () => stream("ended", "retry: 2000\nid: 5\n\n"),
        () => stream("ended", ": still here\nid: 7\n\n"),
        () => stream("broken", whole.slice(0, -1)),
        () => stream("broken", `${whole}id: 12\n`),
        () => stream("open", event(10))
      )
      return Effect.gen(function* () {
        assert.deepStrictEqual(yield* first(2), [9, 10])
        assert.deepStrictEqual(
          requests.map(({ query }) => query),
          ["", "?after=5", "?after=7", "?after=7", "?after=9"]
        )
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("have a reset in their midst, and go on from there, even if ids begin anew", () => {
    const { layer, requests } = answering(
      () => stream("ended", event(70)),
      () => stream("ended", reset(1)),
      () => stream("open", event(1) + event(2))
    )
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* first(4, { after: 0, order_id: OrderId.make("1") }), [70, "reset 1", 1, 2])
      assert.deepStrictEqual(
        requests.map(({ query }) => query),
        ["?order_id=1&after=0", "?order_id=1&after=70", "?order_id=1&after=0"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("wait as long as a refusal asks for, and ever longer, up to five seconds, without one", () => {
    const busy = new TooManyStreams({ limit: 10, scope: "client", retry_after: 10 })
    const { layer, requests } = answering(
      () => refused(busy),
      () => new Response("", { status: 429, headers: { "retry-after": "20" } }),
      ...Array.from({ length: 8 }, () => () => undefined),
      () => stream("ended", event(1)),
      () => stream("open", event(2))
    )
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* first(2), [1, 2])
      const pauses = requests.slice(1).map(({ at }, index) => at - (requests[index]?.at ?? 0))
      const [asked = 0, header = 0, ...own] = pauses
      assert.isTrue(asked >= 10_000 && asked <= 15_250, `${asked}`)
      assert.isTrue(header >= 20_000 && header <= 30_250, `${header}`)
      const last = own.pop() ?? 0
      assert.isTrue(
        own.every((pause) => pause >= 1000 && pause <= 5250),
        `${own}`
      )
      assert.isTrue(own.slice(-4).every((pause) => pause >= 2500))
      // It was there again, so that the pauses begin anew.
      assert.isTrue(last >= 250 && last <= 750, `${last}`)
    }).pipe(Effect.provide(layer))
  })

  it.effect(
    "fail with what will not pass, at first or later; an answer that is none of the service's only at first",
    () => {
      const wrong = new Unauthorized({ reason: "expired" })
      const strange = () => new Response("<p>", { status: 404 })
      const failing = (...answers: ReadonlyArray<Answer>) =>
        Effect.provide(Effect.flip(first(2)), answering(...answers).layer)
      return Effect.gen(function* () {
        assert.deepStrictEqual(yield* failing(() => refused(wrong)), wrong)
        assert.strictEqual((yield* failing(strange))._tag, "ResponseError")
        const later = yield* failing(
          () => stream("ended", event(1)),
          strange,
          () => refused(wrong)
        )
        assert.deepStrictEqual(later, wrong)
        const unread = yield* failing(() => stream("open", `${event(1)}event: order\nid: 2\ndata: {}\n\n`))
        assert.strictEqual(unread._tag, "ParseError")
      })
    }
  )
})

/** Hands in these orders and waits until each is final. */
const submit = (ids: ReadonlyArray<number>) =>
  Effect.flatMap(client, ({ orders }) =>
    Effect.forEach(
      ids,
      (id) =>
        Effect.zipRight(
          orders.submit({ payload: newOrder(id) }),
          orders.find({ path: { order_id: OrderId.make(String(id)) }, urlParams: { wait: 10 } })
        ),
      { concurrency: "unbounded" }
    )
  )

describe("the events of a real service", { timeout: longTest }, () => {
  it.scopedLive("come exactly once and in order, also those while another process had the database", () =>
    Effect.gen(function* () {
      const databaseFile = Path.join(yield* temporaryFolder, "orders.db")
      const during = <A, E, R>(port: number, use: Effect.Effect<A, E, R>) =>
        Effect.provide(use, service({ repo: sqlRepo, settings: { databaseFile, port } }))
      const url = yield* during(0, baseUrl)
      const port = Number(new URL(url).port)

      const seen: Array<number | string> = []
      const opened = yield* Deferred.make<void>()
      yield* Client.events({ baseUrl: url }, {}, { onOpen: Effect.asVoid(Deferred.succeed(opened, undefined)) }).pipe(
        Stream.runForEach((news) => Effect.sync(() => seen.push(shown(news)))),
        Effect.provide(NodeHttpClient.layer),
        Effect.forkScoped
      )
      yield* during(port, Effect.zipRight(Deferred.await(opened), submit(Arr.range(1, 5))))
      yield* during(0, submit(Arr.range(6, 10)))
      const { changes } = yield* during(
        port,
        Effect.gen(function* () {
          yield* submit(Arr.range(11, 15))
          yield* until(() => seen.length >= 45)
          return yield* (yield* client).orders.changes({ urlParams: { limit: 1000 } })
        })
      )
      assert.strictEqual(changes.length, 45)
      assert.deepStrictEqual(
        seen,
        changes.map(({ id }) => id)
      )
    })
  )

  it.live("begin behind a place, and with a reset if there is no such place", () =>
    Effect.gen(function* () {
      yield* submit([1, 2])
      const options = { baseUrl: yield* baseUrl }
      const behind = (after: number, order_id: string) =>
        Client.events(options, { after, order_id: OrderId.make(order_id) }).pipe(
          Stream.take(3),
          Stream.map((news) => (news instanceof Client.EventsReset ? shown(news) : `${news.order_id} ${news.to}`)),
          Stream.runCollect,
          Effect.map(Chunk.toReadonlyArray)
        )
      assert.deepStrictEqual(yield* behind(0, "2"), ["2 Pending", "2 Processing", "2 Completed"])
      assert.deepStrictEqual(yield* behind(1_000_000, "1"), ["reset 1", "1 Pending", "1 Processing"])
    }).pipe(Effect.provide(service({ repo: memoryRepo })))
  )
})
