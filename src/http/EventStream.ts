import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Chunk, DateTime, Duration, Effect, Exit, Mailbox, Option, Stream } from "effect"
import type { EventFilter } from "../api/Filters.ts"
import { heartbeatSeconds } from "../api/Heartbeat.ts"
import { eventText } from "../api/OrderEvent.ts"
import { TooManyStreams } from "../api/Problems.ts"
import { maxOwnStreams, maxStreams } from "../api/StreamLimits.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { idInJson } from "../order/Order.ts"
import type { OrderChange } from "../order/OrderChange.ts"
import { OrderEvents } from "../store/OrderEvents.ts"
import { NodeServer } from "./NodeServer.ts"

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

interface OpenStream {
  readonly owner: string
  readonly openedAt: number
  readonly changes: Mailbox.Mailbox<OrderChange>
}

/**
 * Committed changes as Server-Sent Events (WHATWG HTML, 9.2). Each client has a buffer of its own that slides, so that
 * a slow one costs nothing and holds up nobody. Nothing is replayed: a client that connects again reads the state again.
 *
 * When all places are taken, of its owner or of all, a new stream takes that of the oldest among them: a client that
 * never reads looks the same as one that had nothing to read, and is not to keep its place for ever.
 * A stream ends when the service shuts down, and when the right to it ends.
 */
export const makeEventStream = Effect.gen(function* () {
  const events = yield* OrderEvents
  const { draining } = yield* NodeServer
  const now = yield* monotonicMillis
  /** The oldest first. */
  const streams = new Set<OpenStream>()

  /** The limit that another stream of the owner would break, and the stream whose place it may take. */
  const limitMet = (owner: string) => {
    const own = Array.from(streams).filter((stream) => stream.owner === owner)
    const [ownOldest] = own
    if (ownOldest && own.length >= maxOwnStreams) {
      return { oldest: ownOldest, limit: maxOwnStreams, scope: "client" } as const
    }
    const [oldest] = streams
    if (oldest && streams.size >= maxStreams) return { oldest, limit: maxStreams, scope: "service" } as const
    return undefined
  }

  const open = (owner: string) =>
    Effect.map(Mailbox.make<OrderChange>({ capacity: bufferSize, strategy: "sliding" }), (changes) => {
      const met = limitMet(owner)
      if (met !== undefined) {
        streams.delete(met.oldest)
        met.oldest.changes.unsafeDone(Exit.void)
      }
      const stream = { owner, openedAt: now(), changes }
      streams.add(stream)
      return stream
    })

  const follow = Effect.fnUntraced(function* (filter: EventFilter, owner: string) {
    const { changes } = yield* Effect.acquireRelease(open(owner), (stream) => Effect.sync(() => streams.delete(stream)))
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

  /** @param owner whose stream it is: the name of the client's key, or what its address stands for */
  return Effect.fnUntraced(function* (filter: EventFilter, owner: string, ended: Effect.Effect<void>) {
    const met = limitMet(owner)
    if (met !== undefined && now() - met.oldest.openedAt < openAtLeast) {
      return yield* new TooManyStreams({ limit: met.limit, scope: met.scope, retry_after: 10 })
    }
    return HttpServerResponse.stream(
      Stream.unwrapScoped(follow(filter, owner)).pipe(
        Stream.interruptWhen(Effect.raceFirst(draining, ended)),
        Stream.encodeText
      ),
      { contentType: "text/event-stream", headers: { "x-accel-buffering": "no" } }
    )
  })
})
