import * as Http from "node:http"
import { assert } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, Queue, Schema, type Scope } from "effect"

export interface Watcher {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  /** What stands between empty lines, in order. */
  readonly blocks: Queue.Dequeue<string>
  /** Whether the response ended as it should. */
  readonly ended: Effect.Effect<boolean>
  readonly close: Effect.Effect<void>
}

/** Opens an event stream, on a connection of its own, which comes from that address. */
export const openStream = (
  url: string,
  query = "",
  localAddress = "127.0.0.1",
  headers: Http.OutgoingHttpHeaders = {}
): Effect.Effect<Watcher, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const blocks = yield* Queue.unbounded<string>()
    const ended = yield* Deferred.make<boolean>()
    const [request, response] = yield* Effect.acquireRelease(
      Effect.async<[Http.ClientRequest, Http.IncomingMessage], Error>((resume) => {
        const request = Http.get(`${url}/api/events${query}`, { agent: false, localAddress, headers }, (response) => {
          let text = ""
          response.setEncoding("utf8").on("data", (chunk: string) => {
            const parts = (text + chunk).split("\n\n")
            text = parts.pop() ?? ""
            for (const part of parts) blocks.unsafeOffer(part)
          })
          response.on("error", () => {})
          response.on("close", () => Deferred.unsafeDone(ended, Effect.succeed(response.complete && text === "")))
          resume(Effect.succeed([request, response]))
        }).on("error", (error) => resume(Effect.fail(error)))
      }),
      ([request]) => Effect.sync(() => request.destroy())
    )
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      blocks,
      ended: Deferred.await(ended),
      close: Effect.sync(() => request.destroy())
    }
  })

const Time = Schema.String.pipe(Schema.pattern(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/))

const Event = Schema.parseJson(
  Schema.Struct({
    id: Schema.Int,
    order_id: Schema.Union(Schema.Number, Schema.String),
    user_id: Schema.Union(Schema.Number, Schema.String),
    from: Schema.NullOr(Schema.String),
    to: Schema.String,
    at: Time,
    run: Schema.Int,
    attempt: Schema.Int,
    reason: Schema.String,
    error: Schema.NullOr(Schema.Struct({ code: Schema.String, message: Schema.String })),
    next_attempt_at: Schema.NullOr(Time),
    by: Schema.NullOr(Schema.String),
    status: Schema.String,
    attempts: Schema.Int
  })
)

export const decodeEvent = (block: string) =>
  Effect.gen(function* () {
    const [event, id, data, ...rest] = block.split("\n")
    assert.strictEqual(event, "event: order")
    assert.isEmpty(rest)
    assert.match(data ?? "", /^data: \{/)
    const decoded = yield* Schema.decodeUnknown(Event, { onExcessProperty: "error" })(data?.slice("data: ".length))
    assert.strictEqual(id, `id: ${decoded.id}`)
    return decoded
  })

/** A comment, or a place to resume from, or both. */
export const isNoEvent = (block: string) => !block.startsWith("event:")

/** Comments come by the clock, so that how many there are in between depends on how long the test took. */
export const nextEvent = ({ blocks }: Watcher) =>
  Effect.repeat(Queue.take(blocks), { while: isNoEvent }).pipe(
    Effect.flatMap(decodeEvent),
    Effect.timeout("20 seconds")
  )

export const nextEvents = (stream: Watcher, count: number) =>
  Effect.forEach(Arr.range(1, count), () =>
    Effect.map(nextEvent(stream), ({ order_id, status }) => `${order_id} ${status}`)
  )
