import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { DateTime, Deferred, Effect, FiberId, Queue, Stream } from "effect"
import { TooManyStreams } from "../api/Problems.ts"

import { monotonicMillis } from "../MonotonicClock.ts"
import { idInJson, type Status } from "../order/Order.ts"
import type { OrderChange } from "../order/OrderChange.ts"

import { OrderEvents } from "../store/OrderEvents.ts"
import { NodeServer } from "./NodeServer.ts"

const maxStreams = 100
/** One that has been open for so long gives its place to a new one if there is no other, in milliseconds. */
const openAtLeast = 60_000
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
 * a slow one costs nothing and holds up nobody. Nothing is replayed: a client that connects again reads the state again.
 *
 * When all places are taken, a new stream takes that of the oldest: a client that never reads looks the same as one
 * that had nothing to read, and is not to keep its place for ever.
 */
export const makeEventStream = Effect.gen(function* () {
  const events = yield* OrderEvents
  const { draining } = yield* NodeServer
  const now = yield* monotonicMillis
  /** The oldest first. */
  const streams = new Set<{ readonly openedAt: number; readonly ended: Deferred.Deferred<void> }>()

  const open = () => {
    const [oldest] = streams
    if (oldest !== undefined && streams.size >= maxStreams) {
      streams.delete(oldest)
      Deferred.unsafeDone(oldest.ended, Effect.void)
    }
    const stream = { openedAt: now(), ended: Deferred.unsafeMake<void>(FiberId.none) }
    streams.add(stream)
    return stream
  }

  return Effect.fnUntraced(function* (filter: EventFilter) {
    const [oldest] = streams
    if (oldest !== undefined && streams.size >= maxStreams && now() - oldest.openedAt < openAtLeast) {
      return yield* new TooManyStreams({ retry_after: 10 })
    }

    const changes = Effect.gen(function* () {
      // `unsafeOffer` does not slide: a queue that is full would drop the newest.
      const buffer: Array<OrderChange> = []
      const signal = yield* Queue.sliding<void>(1)
      const { ended } = yield* Effect.acquireRelease(Effect.sync(open), (stream) =>
        Effect.sync(() => streams.delete(stream))
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
      return Stream.concat(
        Stream.make("retry: 2000\n\n"),
        Stream.interruptWhen(Stream.repeatEffect(next), Deferred.await(ended))
      )
    })

    return HttpServerResponse.stream(
      Stream.unwrapScoped(changes).pipe(Stream.interruptWhen(draining), Stream.encodeText),
      { contentType: "text/event-stream", headers: { "x-accel-buffering": "no" } }
    )
  })
})
