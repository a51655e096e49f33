import { Effect, Option, Stream } from "effect"
import * as Client from "../api/Client.ts"
import type { EventFilter } from "../api/Filters.ts"
import type { OrderEvent } from "../api/OrderEvent.ts"
import { redacted } from "../Redaction.ts"
import type { Connection } from "./Connection.ts"
import { connectionCode, detailOf, failed, failureOf } from "./Failure.ts"

export interface Watching {
  readonly filter: EventFilter
  /** Begins behind the change of that id; without it, from now on. */
  readonly after?: number | undefined
  /** The stream is open, at first or again. */
  readonly onOpen: Effect.Effect<void>
  /** Reported once for each reason until it is open again. It was not open yet at all, or it was. */
  readonly onLost: (why: string, was: "open" | "closed") => Effect.Effect<void>
  /** Changes are missing; all from that id on follow. */
  readonly onReset: (oldest: number) => Effect.Effect<void>
  readonly onEvent: (event: OrderEvent) => Effect.Effect<void>
}

const whyOf = Effect.fnUntraced(function* (url: string, error: Client.EventsLost) {
  if (error._tag === "EventsEnded") return "the service ended it"
  if (error._tag === "EventsSilent") return "nothing came any more"
  if (error._tag !== "ResponseError") return failureOf(error).lines.join(" ")
  if (error.reason !== "StatusCode") return `the connection broke (${connectionCode(error)})`
  const text = yield* Effect.orElseSucceed(Effect.timeout(error.response.text, "5 seconds"), () => "")
  return Option.getOrElse(
    detailOf(text),
    () => `${redacted(url)} answered ${error.response.status} when asked for its events.`
  )
})

const sentence = (text: string) => (text.endsWith(".") ? text : `${text}.`)

/** Follows the changes of orders for ever. Fails with what will not pass, such as a key that is not good enough. */
export const watchEvents = (connection: Connection, { after, filter, ...watching }: Watching) => {
  let was: "open" | "closed" = "closed"
  let reported: string | undefined
  const whyLost = (error: Client.EventsLost) => Effect.map(whyOf(connection.baseUrl, error), sentence)
  return Client.events(
    connection,
    { ...filter, after },
    {
      onOpen: Effect.suspend(() => {
        was = "open"
        reported = undefined
        return watching.onOpen
      }),
      onLost: (error) =>
        Effect.flatMap(whyLost(error), (why) => {
          if (reported === why) return Effect.void
          reported = why
          return watching.onLost(why, was)
        })
    }
  ).pipe(
    Stream.runForEach((news) =>
      news instanceof Client.EventsReset ? watching.onReset(news.oldest) : watching.onEvent(news)
    ),
    Effect.catchAll((error) => Effect.flatMap(whyLost(error), failed))
  )
}
