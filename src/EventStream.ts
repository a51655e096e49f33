import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { DateTime, Effect, Queue, Stream } from "effect"
import { TooManyStreams } from "./Api.ts"
import type { OrderChange } from "./Command.ts"
import { NodeServer } from "./NodeServer.ts"
import { idInJson, type Status } from "./Order.ts"
import { OrderEvents } from "./OrderEvents.ts"

const maxStreams = 100
/** Events kept for a client that reads slowly; beyond them the oldest are dropped. */
const bufferSize = 1024
const heartbeat = "15 seconds"

/** Which changes: all that are given must fit. */
export interface EventFilter {
  readonly order_id?: string | undefined
  readonly user_id?: string | undefined
  readonly status?: Status | undefined
}

/** Made when it is sent, and once for all clients. */
const texts = new WeakMap<OrderChange, string>()

const format = (change: OrderChange) => {
  const text = texts.get(change) ?? textOf(change)
  texts.set(change, text)
  return text
}

const textOf = ({ at, attempts, order_id, status, user_id }: OrderChange) => {
  const data = {
    order_id: idInJson(order_id),
    status,
    at: DateTime.formatIso(at),
    attempts,
    user_id: idInJson(user_id)
  }
  return `event: order\ndata: ${JSON.stringify(data)}\n\n`
}

/**
 * Committed changes as Server-Sent Events (WHATWG HTML, 9.2). Each client has a buffer of its own that slides, so that
 * a slow one costs nothing and holds up nobody. Nothing is replayed: who connects again reads the state again.
 */
export const makeEventStream = Effect.gen(function* () {
  const events = yield* OrderEvents
  const { draining } = yield* NodeServer
  let streams = 0

  return Effect.fnUntraced(function* (filter: EventFilter) {
    if (streams >= maxStreams) return yield* new TooManyStreams({ retry_after: 10 })

    const changes = Effect.gen(function* () {
      // `unsafeOffer` does not slide: a queue that is full would drop the newest.
      const buffer: Array<OrderChange> = []
      const signal = yield* Queue.sliding<void>(1)
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          streams += 1
        }),
        () =>
          Effect.sync(() => {
            streams -= 1
          })
      )
      yield* events.listen((commit) => {
        for (const change of commit.changes) {
          const fits =
            (filter.order_id ?? change.order_id) === change.order_id &&
            (filter.user_id ?? change.user_id) === change.user_id &&
            (filter.status ?? change.status) === change.status
          if (!fits) continue
          if (buffer.length === bufferSize) buffer.shift()
          buffer.push(change)
          signal.unsafeOffer(undefined)
        }
      })
      const next = Effect.suspend(() => (buffer.length > 0 ? Effect.void : Queue.take(signal))).pipe(
        Effect.map(() => buffer.splice(0).map(format).join("")),
        Effect.timeoutTo({ duration: heartbeat, onSuccess: (text) => text, onTimeout: () => ": still here\n\n" })
      )
      return Stream.concat(Stream.make("retry: 2000\n\n"), Stream.repeatEffect(next))
    })

    return HttpServerResponse.stream(
      Stream.unwrapScoped(changes).pipe(Stream.interruptWhen(draining), Stream.encodeText),
      { contentType: "text/event-stream", headers: { "x-accel-buffering": "no" } }
    )
  })
})
