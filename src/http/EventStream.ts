import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Deferred, Duration, Effect, FiberId, Option, Schedule, Stream } from "effect"
import type { EventFilter } from "../api/Filters.ts"
import { heartbeatSeconds } from "../api/Heartbeat.ts"
import { eventText, placeText, resetText } from "../api/OrderEvent.ts"
import { TooManyStreams } from "../api/Problems.ts"
import { maxOwnStreams, maxStreams } from "../api/StreamLimits.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import type { OrderChange } from "../order/OrderChange.ts"
import { ChangeFeed } from "../store/ChangeFeed.ts"
import { NodeServer } from "./NodeServer.ts"

/** One that has been open for so long gives its place to a new one if there is no other, in milliseconds. */
const openAtLeast = 60_000
/** Changes that are sent at once, at most. */
const pageSize = 250

/** Made when it is sent, and once for all clients. */
const texts = new WeakMap<OrderChange, string>()

const textOf = (change: OrderChange) => {
  const text = texts.get(change) ?? eventText(change)
  texts.set(change, text)
  return text
}

interface OpenStream {
  readonly owner: string
  readonly openedAt: number
  readonly evicted: Deferred.Deferred<void>
}

/**
 * Committed changes as Server-Sent Events (WHATWG HTML, 9.2), read from the feed as fast as the client takes them.
 *
 * When all places are taken, of its owner or of all, a new stream takes that of the oldest among them: a client that
 * never reads looks the same as one that had nothing to read, and is not to keep its place for ever.
 * A stream ends when the service shuts down, and when the right to it ends.
 */
export const makeEventStream = Effect.gen(function* () {
  const feed = yield* ChangeFeed
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
    Effect.sync(() => {
      const met = limitMet(owner)
      if (met !== undefined) {
        streams.delete(met.oldest)
        Deferred.unsafeDone(met.oldest.evicted, Effect.void)
      }
      const stream = { owner, openedAt: now(), evicted: Deferred.unsafeMake<void>(FiberId.none) }
      streams.add(stream)
      return stream
    })

  const follow = Effect.fnUntraced(function* (filter: EventFilter, after: Option.Option<number>, owner: string) {
    const { evicted } = yield* Effect.acquireRelease(open(owner), (stream) => Effect.sync(() => streams.delete(stream)))
    const reader = feed.reader(filter, after)
    /** The place that the client knows. */
    let known = reader.place()
    // For as long as it takes, so that it does not fail.
    const read = Effect.orDie(Effect.retry(reader.read(pageSize), Schedule.spaced("1 second")))

    const found: Effect.Effect<string> = Effect.gen(function* () {
      while (true) {
        const { changes, more, reset } = yield* read
        if (Option.isSome(reset)) return resetText(reset.value)
        if (changes.length > 0) return changes.map(textOf).join("")
        if (!more) yield* reader.wait
      }
    })
    const next = found.pipe(
      Effect.timeoutTo({
        duration: Duration.seconds(heartbeatSeconds),
        onSuccess: (text) => text,
        // What did not fit need not be looked at again by a client that resumes.
        onTimeout: () => `: still here\n${reader.place() === known ? "\n" : placeText(reader.place())}`
      }),
      Effect.tap(() =>
        Effect.sync(() => {
          known = reader.place()
        })
      )
    )
    const opening = `retry: 2000\n${Option.isSome(after) ? "\n" : placeText(known)}`
    return Stream.concat(Stream.make(opening), Stream.repeatEffect(next)).pipe(
      Stream.interruptWhen(Deferred.await(evicted))
    )
  })

  /** @param owner whose stream it is: the name of the client's key, or what its address stands for */
  return Effect.fnUntraced(function* (
    filter: EventFilter,
    after: Option.Option<number>,
    owner: string,
    ended: Effect.Effect<void>
  ) {
    const met = limitMet(owner)
    if (met !== undefined && now() - met.oldest.openedAt < openAtLeast) {
      return yield* new TooManyStreams({ limit: met.limit, scope: met.scope, retry_after: 10 })
    }
    return HttpServerResponse.stream(
      Stream.unwrapScoped(follow(filter, after, owner)).pipe(
        Stream.interruptWhen(Effect.raceFirst(draining, ended)),
        Stream.encodeText
      ),
      { contentType: "text/event-stream", headers: { "x-accel-buffering": "no" } }
    )
  })
})
