import type { HttpClientError } from "@effect/platform/HttpClientError"
import { Data, Effect, Option, Predicate, Schedule, Stream } from "effect"
import { openEvents } from "../api/Client.ts"
import type { EventFilter } from "../api/Filters.ts"
import type { OrderEvent } from "../api/OrderEvent.ts"
import { type AnyProblem, answerOf, isProblem } from "../api/Problems.ts"
import { redacted } from "../Redaction.ts"
import type { Connection } from "./Connection.ts"
import { connectionCode, detailOf, failed, failureOf } from "./Failure.ts"

export interface Watching {
  readonly filter: EventFilter
  /** The stream is open, at first or again. Events of the time in between are not replayed. */
  readonly onOpen: Effect.Effect<void>
  /** Reported once for each reason until it is open again. It was not open yet at all, or it was. */
  readonly onLost: (why: string, was: "open" | "closed") => Effect.Effect<void>
  readonly onEvent: (event: OrderEvent) => Effect.Effect<void>
}

/** The answer to the request for the stream was none. */
class Refused extends Data.TaggedError("Refused")<{
  readonly why: string
  readonly status: number
  /** The key is not good enough, or not any more. */
  readonly isForKey: boolean
  /** How long another attempt would be refused for the same reason. */
  readonly waitSeconds: number
}> {}

/** Whether another attempt may be answered otherwise. */
const isPassing = (status: number) => status >= 500 || status === 408 || status === 429

const refusalOf = Effect.fnUntraced(function* (url: string, error: AnyProblem | HttpClientError) {
  if (error._tag === "RequestError") return yield* error
  if (isProblem(error)) {
    return yield* new Refused({
      why: failureOf(error).lines.join(" "),
      status: answerOf(error).status,
      isForKey: error._tag === "Unauthorized" || error._tag === "InsufficientScope",
      waitSeconds: error._tag === "TooManyRequests" ? error.retry_after : 0
    })
  }
  const { status } = error.response
  const text = yield* Effect.orElseSucceed(Effect.timeout(error.response.text, "5 seconds"), () => "")
  const why = Option.getOrElse(detailOf(text), () => `${redacted(url)} answered ${status} when asked for its events.`)
  return yield* new Refused({ why, status, isForKey: false, waitSeconds: 0 })
})

/** Follows one connection until it ends. */
const follow = (connection: Connection, { filter, onEvent, onOpen }: Watching) =>
  Effect.gen(function* () {
    const events = yield* Effect.catchAll(openEvents(connection, filter), (error) =>
      refusalOf(connection.baseUrl, error)
    )
    yield* onOpen
    yield* events.pipe(
      Stream.catchTags({
        ResponseError: (error) => Stream.fail(`the connection broke (${connectionCode(error)})`),
        EventsSilent: () => Stream.fail("nothing came any more")
      }),
      Stream.runForEach(onEvent)
    )
    return yield* Effect.fail("the service ended it")
  })

const sentence = (text: string) => (text.endsWith(".") ? text : `${text}.`)

/**
 * Follows the changes of orders for ever, over any number of connections. Fails only when the first is refused for a
 * reason that will not pass, or any for its key.
 */
export const watchEvents = (connection: Connection, watching: Watching) => {
  let opened = false
  let reported: string | undefined
  const once = follow(connection, {
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
    const isFinal = refused !== undefined && (refused.isForKey || (!opened && !isPassing(refused.status)))
    if (isFinal) return Effect.fail(failed(why))
    const report = reported === why ? Effect.void : watching.onLost(why, opened ? "open" : "closed")
    reported = why
    return Effect.zipRight(report, Effect.sleep(`${refused?.waitSeconds ?? 0} seconds`))
  })
  return Effect.repeat(judged, Schedule.spaced("500 millis"))
}
