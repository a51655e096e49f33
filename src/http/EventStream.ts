import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Chunk, DateTime, Duration, Effect, Exit, Mailbox, Option, Stream } from "effect"
import type { EventFilter } from "../api/Filters.ts"
import { heartbeatSeconds } from "../api/Heartbeat.ts"
import { eventText } from "../api/OrderEvent.ts"
import { TooManyStreams } from "../api/Problems.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { idInJson } from "../order/Order.ts"
import type { OrderChange } from "../order/OrderChange.ts"
import { OrderEvents } from "../store/OrderEvents.ts"
import { NodeServer } from "./NodeServer.ts"

const maxStreams = 100
/** One that has been open for so long gives its place to a new one if there is no other, in milliseconds. */
const openAtLeast = 60_000
/** Events kept for a client that reads slowly; beyond them the oldest are dropped. */
const bufferSize = 1024

const fits = (filter: EventFilter, { order_id, status, user_id }: OrderChange) =>
  (filter.order_id ?? order_id) === order_id &&
  (filter.user_id ?? user_id) === user_id &&
  (filter.status ?? status) === status

/** Made when it is sent, and once for all clients. */
const texts = new WeakMap<OrderChange, string>()

const textOf = ({ at, attempts, order_id, status, user_id }: OrderChange) =>
  eventText({
    order_id: idInJson(order_id),
    status,
    at: DateTime.formatIso(at),
    attempts,
    user_id: idInJson(user_id)
  })

const format = (change: OrderChange) => {
  const text = texts.get(change) ?? textOf(change)
  texts.set(change, text)
  return text
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
  const streams = new Set<{ readonly openedAt: number; readonly changes: Mailbox.Mailbox<OrderChange> }>()

  const open = Effect.map(Mailbox.make<OrderChange>({ capacity: bufferSize, strategy: "sliding" }), (changes) => {
    const [oldest] = streams
    if (oldest !== undefined && streams.size >= maxStreams) {
      streams.delete(oldest)
      oldest.changes.unsafeDone(Exit.void)
    }
    const stream = { openedAt: now(), changes }
    streams.add(stream)
    return stream
  })

  const follow = Effect.fnUntraced(function* (filter: EventFilter) {
    const { changes } = yield* Effect.acquireRelease(open, (stream) => Effect.sync(() => streams.delete(stream)))
    yield* events.listen((commit) => {
      for (const change of commit.changes) if (fits(filter, change)) changes.unsafeOffer(change)
    })
    const next = changes.takeAll.pipe(
      Effect.flatMap(([taken, isEnd]) =>
        isEnd && Chunk.isEmpty(taken)
          ? Effect.fail(Option.none())
          : Effect.succeed(Chunk.toReadonlyArray(taken).map(format).join(""))
      ),
      Effect.timeoutTo({
        duration: Duration.seconds(heartbeatSeconds),
        onSuccess: (text) => text,
        onTimeout: () => ": still here\n\n"
      })
    )
    return Stream.concat(Stream.make("retry: 2000\n\n"), Stream.repeatEffectOption(next))
  })

  return Effect.fnUntraced(function* (filter: EventFilter) {
    const [oldest] = streams
    if (oldest !== undefined && streams.size >= maxStreams && now() - oldest.openedAt < openAtLeast) {
      return yield* new TooManyStreams({ retry_after: 10 })
    }
    return HttpServerResponse.stream(
      Stream.unwrapScoped(follow(filter)).pipe(Stream.interruptWhen(draining), Stream.encodeText),
      { contentType: "text/event-stream", headers: { "x-accel-buffering": "no" } }
    )
  })
})
