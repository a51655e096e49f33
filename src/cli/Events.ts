import * as HttpClient from "@effect/platform/HttpClient"
import { Data, Duration, Effect, Option, Predicate, Schedule, Schema, Stream } from "effect"
import { deadAfterSeconds } from "../api/Heartbeat.ts"
import { OrderEvent } from "../api/OrderEvent.ts"
import { connectionCode, detailOf, failed, failureOf } from "./Failure.ts"

const decodeEvent = Schema.decodeUnknown(Schema.parseJson(OrderEvent))

const prefix = "data: "

export interface Watching {
  readonly filter: Readonly<Record<string, string>>
  /** The stream is open, at first or again. Events of the time in between are not replayed. */
  readonly onOpen: Effect.Effect<void>
  /** Reported once for each reason until it is open again. It was not open yet at all, or it was. */
  readonly onLost: (why: string, was: "open" | "closed") => Effect.Effect<void>
  readonly onEvent: (event: OrderEvent) => Effect.Effect<void>
}

/** The answer to the request for the stream was none. */
class Refused extends Data.TaggedError("Refused")<{ readonly why: string; readonly status: number }> {}

/** Whether another attempt may be answered otherwise. */
const isPassing = (status: number) => status >= 500 || status === 408 || status === 429

/** Follows one connection until it ends. */
const follow = (url: string, { filter, onEvent, onOpen }: Watching) =>
  Effect.gen(function* () {
    const client = yield* HttpClient.HttpClient
    const response = yield* client.get(`${url}/api/events`, { urlParams: filter })
    const { status } = response
    if (status !== 200) {
      const body = yield* Effect.orElseSucceed(Effect.timeout(response.text, "5 seconds"), () => "")
      const why = Option.getOrElse(detailOf(body), () => `${url} answered ${status} when asked for its events.`)
      return yield* new Refused({ why, status })
    }
    yield* onOpen
    yield* response.stream.pipe(
      Stream.mapError((error) => `the connection broke (${connectionCode(error)})`),
      Stream.timeoutFail(() => "nothing came any more", Duration.seconds(deadAfterSeconds)),
      Stream.decodeText(),
      Stream.splitLines,
      // Each event has one line of data. With the parser of @effect/experimental it took most of a simulation's time.
      Stream.filter((line) => line.startsWith(prefix)),
      Stream.mapEffect((line) => decodeEvent(line.slice(prefix.length))),
      Stream.runForEach(onEvent)
    )
    return yield* Effect.fail("the service ended it")
  })

const sentence = (text: string) => (text.endsWith(".") ? text : `${text}.`)

/**
 * Follows the changes of orders for ever, over any number of connections. Fails only when the first is refused for a
 * reason that will not pass.
 */
export const watchEvents = (url: string, watching: Watching) => {
  let opened = false
  let reported: string | undefined
  const once = follow(url, {
    ...watching,
    onOpen: Effect.suspend(() => {
      opened = true
      reported = undefined
      return watching.onOpen
    })
  })
  const judged = Effect.catchAll(once, (error) => {
    const refused = Predicate.isTagged(error, "Refused") ? error : undefined
    const why = sentence(Predicate.isString(error) ? error : (refused?.why ?? failureOf(error).lines.join(" ")))
    if (!opened && refused !== undefined && !isPassing(refused.status)) return Effect.fail(failed(why))
    if (reported === why) return Effect.void
    reported = why
    return watching.onLost(why, opened ? "open" : "closed")
  })
  return Effect.repeat(judged, Schedule.spaced("500 millis"))
}
