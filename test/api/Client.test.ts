import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Exit, Fiber, Layer, Redacted, Stream, TestClock } from "effect"
import { randomKey } from "../../src/access/ApiKey.ts"
import * as Client from "../../src/api/Client.ts"
import { answerOf, InsufficientScope, TooManyStreams, Unauthorized } from "../../src/api/Problems.ts"
import { OrderId } from "../../src/order/Order.ts"
import { protectedService } from "../support/ProtectedService.ts"
import { baseUrl, client, memoryRepo, newOrder, service } from "../support/TestLayers.ts"

const options = { baseUrl: "http://orders.test/below" }

/** A client whose every request is answered so. */
const answering = (respond: (url: string) => Response) =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) => Effect.sync(() => HttpClientResponse.fromWeb(request, respond(url.href))))
  )

const event = (id: number) =>
  `event: order\ndata: {"order_id":${id},"status":"Completed","at":"2026-01-31T12:00:02.004Z","attempts":1,"user_id":"u-7"}\n\n`

/** A stream that stays open behind those bytes. */
const open = (...chunks: ReadonlyArray<Uint8Array>) =>
  new Response(
    new ReadableStream({
      start: (controller) => {
        for (const chunk of chunks) controller.enqueue(chunk)
      }
    }),
    { headers: { "content-type": "text/event-stream" } }
  )

describe("the client of a service with keys", () => {
  it.scopedLive("sends its key with each request, that for the events too, and shows it nowhere", () =>
    Effect.gen(function* () {
      const { key, url: baseUrl } = yield* protectedService({ shop: ["submit,read"] })
      const seen: Array<string> = []
      const options = {
        baseUrl,
        apiKey: Redacted.make(key("shop")),
        transformClient: HttpClient.mapRequest((request) => {
          seen.push(JSON.stringify(request))
          return request
        })
      }
      const api = yield* Client.make(options)
      const events = yield* Client.openEvents(options, {})
      yield* api.orders.submit({ payload: newOrder(1) })
      const [event] = Chunk.toReadonlyArray(yield* Stream.runCollect(Stream.take(events, 1)))
      assert.strictEqual(event?.order_id, "1")
      const refused = yield* Effect.flip(api.service.metrics())
      assert.deepStrictEqual(refused, new InsufficientScope({ scope: "metrics" }))
      assert.lengthOf(seen, 3)
      assert.notInclude(`${seen}${JSON.stringify(options)}`, key("shop"))

      const stranger = yield* Client.make({ baseUrl })
      assert.deepStrictEqual(yield* Effect.flip(stranger.service.metrics()), new Unauthorized({ reason: "missing" }))
      assert.deepStrictEqual(
        yield* Effect.flip(Client.openEvents({ baseUrl, apiKey: Redacted.make(randomKey()) })),
        new Unauthorized({ reason: "unknown" })
      )
    }).pipe(Effect.timeout("20 seconds"), Effect.provide(NodeHttpClient.layer))
  )
})

describe("the events of the client", () => {
  it.effect("come as they are sent, however they are cut, from a stream that does not end", () => {
    const bytes = new TextEncoder().encode(`retry: 2000\n\n${event(1)}: still here\n\n${event(2)}`)
    const urls: Array<string> = []
    return Effect.gen(function* () {
      const filter = { order_id: OrderId.make("7"), status: "Completed" } as const
      const events = yield* Stream.runCollect(Stream.take(Client.events(options, filter), 2))
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(events).map(({ order_id, user_id }) => [order_id, user_id]),
        [
          ["1", "u-7"],
          ["2", "u-7"]
        ]
      )
      assert.deepStrictEqual(urls, ["http://orders.test/below/api/events?order_id=7&status=Completed"])
    }).pipe(
      Effect.provide(
        answering((url) => {
          urls.push(url)
          return open(...Array.from(bytes, (byte) => Uint8Array.of(byte)))
        })
      )
    )
  })

  it.effect("fail with the problem that refused them, or with the answer that was none", () => {
    const refusal = new TooManyStreams({ limit: 10, scope: "client", retry_after: 10 })
    const { headers, status, text } = answerOf(refusal)
    const fail = Effect.flip(Stream.runDrain(Client.events(options)))
    return Effect.gen(function* () {
      const refused = yield* Effect.provide(
        fail,
        answering(() => new Response(text, { status, headers }))
      )
      assert.deepStrictEqual(refused, refusal)
      const unknown = yield* Effect.provide(
        fail,
        answering(() => new Response("<p>", { status: 404 }))
      )
      assert.strictEqual(unknown._tag, "ResponseError")
    })
  })

  it.effect("fail when three heartbeats are missing", () =>
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
    }).pipe(Effect.provide(answering(() => open())))
  )

  it.live("are those of the service", () =>
    Effect.gen(function* () {
      const events = yield* Client.openEvents({ baseUrl: yield* baseUrl }, { order_id: OrderId.make("2") })
      const api = yield* client
      for (const id of [1, 2]) yield* api.orders.submit({ payload: newOrder(id) })
      const three = yield* Stream.runCollect(Stream.take(events, 3))
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(three).map(({ order_id, status }) => `${order_id} ${status}`),
        ["2 Pending", "2 Processing", "2 Completed"]
      )
    }).pipe(Effect.timeout("20 seconds"), Effect.provide(service({ repo: memoryRepo })))
  )
})
