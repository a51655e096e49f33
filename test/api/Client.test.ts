import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Predicate, Redacted, Stream } from "effect"
import { randomKey } from "../../src/access/ApiKey.ts"
import * as Client from "../../src/api/Client.ts"
import { InsufficientScope, Unauthorized } from "../../src/api/Problems.ts"
import { protectedService } from "../support/ProtectedService.ts"
import { newOrder } from "../support/TestLayers.ts"

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
      assert.isTrue(Predicate.hasProperty(event, "order_id") && event.order_id === "1")
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
