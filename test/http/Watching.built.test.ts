import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Queue } from "effect"
import { maxOwnStreams } from "../../src/api/StreamLimits.ts"
import { aNewOrder, post, startService } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"
import { nextEvents, openStream } from "../support/Watcher.ts"

describe("the event streams of the service", () => {
  it.scopedLive("SIGTERM ends the streams that are open as they should end, and the exit is clean", () =>
    Effect.gen(function* () {
      const running = yield* startService(yield* temporaryFolder, {
        PROCESSING_TIME: "1 minute",
        SHUTDOWN_GRACE: "0 millis"
      })
      const streams = yield* Effect.all(
        Arr.makeBy(maxOwnStreams, () => openStream(running.url)),
        { concurrency: "unbounded" }
      )
      for (const { blocks } of streams) assert.strictEqual(yield* Queue.take(blocks), "retry: 2000\nid: 0")
      yield* Effect.promise(() => post(running.url, aNewOrder(1)))
      for (const stream of streams) {
        assert.deepStrictEqual(yield* nextEvents(stream, 2), ["1 Pending", "1 Processing"])
      }
      running.child.kill("SIGTERM")
      for (const { ended } of streams) assert.isTrue(yield* ended)
      assert.strictEqual(yield* Effect.timeout(running.exited, "10 seconds"), 0)
    })
  )
})
