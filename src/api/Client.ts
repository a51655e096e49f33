import * as HttpApiClient from "@effect/platform/HttpApiClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import {
  Data,
  Duration,
  Effect,
  identity,
  Option,
  type ParseResult,
  Random,
  type Redacted,
  Schema,
  Stream
} from "effect"
import { Api } from "./Api.ts"
import { type EventBlock, eventBlocks } from "./EventBlocks.ts"
import { type EventFilter, EventParameters } from "./Filters.ts"
import { deadAfterSeconds } from "./Heartbeat.ts"
import { OrderEvent, Reset } from "./OrderEvent.ts"
import { AnyProblem, answerOf, isProblem } from "./Problems.ts"

export interface Options {
  readonly baseUrl: string | URL
  /** A key of the service, which every request is sent with. Over plain http others on the way can read it. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** Changes what every request passes, such as to add what a proxy in front of the service asks for. */
  readonly transformClient?: (client: HttpClient.HttpClient) => HttpClient.HttpClient
}

/** Adds the key last, so that a transformation which shows requests does not show it. */
const sending = ({ apiKey, transformClient = identity }: Options) =>
  apiKey === undefined
    ? transformClient
    : (client: HttpClient.HttpClient) =>
        HttpClient.mapRequest(transformClient(client), HttpClientRequest.bearerToken(apiKey))

/**
 * The typed client of the service at `baseUrl`. Refusals are the tagged errors of `Api.ts` and `Order.ts`. Its `watch`
 * answers with the whole stream as one text when that ends; {@link events} gives each event as it comes.
 */
export const make = (options: Options) =>
  HttpApiClient.make(Api, { baseUrl: options.baseUrl, transformClient: sending(options) })

export interface Client extends Effect.Effect.Success<ReturnType<typeof make>> {}

/** Nothing came for so long, not even the comments that the service sends while there is no event. */
export class EventsSilent extends Data.TaggedError("EventsSilent")<{ readonly seconds: number }> {}

/** The service ended the stream, as it does when it shuts down. */
export class EventsEnded extends Data.TaggedError("EventsEnded") {}

/**
 * In place of changes that are missing, because they are not kept any more or went with a restored database: all from the
 * id `oldest` on follow. Read again what must not be missed.
 */
export class EventsReset extends Data.TaggedClass("EventsReset")<{ readonly oldest: number }> {}

/** Why one connection did not come about, or ended. */
export type EventsLost =
  | EventsEnded
  | EventsSilent
  | AnyProblem
  | HttpClientError.HttpClientError
  | ParseResult.ParseError

const encodeParameters = Schema.encodeSync(EventParameters)
const decodeEvent = Schema.decode(Schema.parseJson(OrderEvent))
const decodeReset = Schema.decode(Schema.parseJson(Reset))
const decodeProblem = HttpClientResponse.schemaBodyJson(AnyProblem)

const refusal = (response: HttpClientResponse.HttpClientResponse) =>
  decodeProblem(response).pipe(
    Effect.timeout("5 seconds"),
    Effect.mapError(
      (cause) => new HttpClientError.ResponseError({ request: response.request, response, reason: "StatusCode", cause })
    ),
    Effect.flatMap(Effect.fail)
  )

/** What is new with a block, if anything, and the id of the change up to which it leads, if it names one. */
const readBlock = ({ data, event, id }: EventBlock) => {
  const place = id !== undefined && /^\d+$/.test(id) ? Number(id) : undefined
  const found = (news: OrderEvent | EventsReset) => ({ place, news: Option.some(news) })
  if (event === "order" && data !== undefined) return Effect.map(decodeEvent(data), found)
  if (event === "reset" && data !== undefined) {
    return Effect.map(decodeReset(data), ({ oldest }) => found(new EventsReset({ oldest })))
  }
  return Effect.succeed({ place, news: Option.none() })
}

const silent = () => new EventsSilent({ seconds: deadAfterSeconds })

/** One connection. Done when the service has answered, with the blocks that come from then on. */
const connect = Effect.fnUntraced(function* (options: Options, parameters: typeof EventParameters.Type) {
  // The base is added last, as by `HttpApiClient`, so that a transformation sees the same path here as there.
  const client = HttpClient.mapRequest(
    sending(options)(yield* HttpClient.HttpClient),
    HttpClientRequest.prependUrl(options.baseUrl.toString())
  )
  const response = yield* client
    .get("/api/events", { urlParams: encodeParameters(parameters) })
    .pipe(Effect.timeoutFail({ duration: Duration.seconds(deadAfterSeconds), onTimeout: silent }))
  if (response.status !== 200) return yield* refusal(response)
  return response.stream.pipe(
    Stream.timeoutFail(silent, Duration.seconds(deadAfterSeconds)),
    Stream.decodeText(),
    Stream.splitLines,
    // With the parser of @effect/experimental it took most of a simulation's time.
    eventBlocks,
    Stream.mapEffect(readBlock)
  )
})

/**
 * One connection to the stream of the changes that fit: done when the service has answered, with the events that come
 * from then on; with `after`, with all behind the change of that id, 0 for all that are kept. It ends when the service ends
 * it, and fails when it breaks. {@link events} goes on.
 */
export const openEvents = (options: Options, filter: EventFilter = {}, after?: number) =>
  Effect.map(
    connect(options, { ...filter, after }),
    Stream.filterMap(({ news }) => news)
  )

/** What `events` is to do when a connection is there, and when it is gone; then it tries again. */
export interface EventsReports {
  readonly onOpen?: Effect.Effect<void>
  readonly onLost?: (why: EventsLost) => Effect.Effect<void>
}

/**
 * Whether another attempt may be answered otherwise. A proxy that has lost its service may answer anything, so that an
 * answer which is no problem of ours is final only if the service never was there.
 */
const passes = (error: AnyProblem | HttpClientError.HttpClientError | ParseResult.ParseError, wasOpen: boolean) => {
  const isPassing = (status: number) => status >= 500 || status === 408 || status === 429
  if (isProblem(error)) return isPassing(answerOf(error).status)
  if (error._tag === "RequestError") return error.reason === "Transport"
  if (error._tag === "ParseError") return false
  return wasOpen || error.reason !== "StatusCode" || isPassing(error.response.status)
}

const secondsToWait = (error: EventsLost) => {
  if ("retry_after" in error) return error.retry_after
  return error._tag === "ResponseError" ? Number(error.response.headers["retry-after"]) || 0 : 0
}

const [firstPause, longestPause] = [500, 5000]

/** In milliseconds; not the same for all clients, which lose their connections at the same time. */
const pauseAfter = (error: EventsLost, attempts: number) =>
  Effect.map(Random.next, (share) =>
    Math.max(
      secondsToWait(error) * 1000 * (1 + share / 2),
      (Math.min(firstPause * 2 ** attempts, longestPause) * (1 + share)) / 2
    )
  )

/**
 * The committed changes of status that fit, in the order of commit, for ever: each exactly once, whatever becomes of the
 * connection. Begins behind the change of the id `after`, 0 for all that are kept; without it, from now on.
 *
 * A connection that is lost, silent for 45 seconds, ended by the service, or refused for the moment (408, 429, 5xx) is
 * made again where it ended, after half a second at first and five at most, or after `Retry-After`. It fails with what will
 * not pass, such as a key that is not good enough, and when it does not understand the service.
 *
 * An {@link EventsReset} stands where changes are missing. A consumer that keeps the `id` of the last event it has dealt
 * with, and gives it as `after` when it is started again, misses nothing else.
 */
export const events = (
  options: Options,
  { after, ...filter }: typeof EventParameters.Type = {},
  { onLost = () => Effect.void, onOpen = Effect.void }: EventsReports = {}
) =>
  Stream.suspend(() => {
    let place = after
    let wasOpen = false
    let attempts = 0
    const opened = Effect.suspend(() => {
      wasOpen = true
      return onOpen
    })
    const pause = (error: EventsLost) =>
      Effect.zipRight(
        onLost(error),
        Effect.flatMap(
          Effect.suspend(() => pauseAfter(error, attempts++)),
          Effect.sleep
        )
      )
    const once = Stream.suspend(() => {
      let isOpen = false
      return Stream.unwrap(connect(options, { ...filter, after: place })).pipe(
        Stream.mapEffect((block) => {
          attempts = 0
          place = block.place ?? place
          if (isOpen) return Effect.succeed(block.news)
          // With the first block it is known from where on.
          isOpen = true
          return Effect.as(opened, block.news)
        })
      )
    }).pipe(
      Stream.filterMap((news) => news),
      Stream.concat(Stream.fail(new EventsEnded())),
      Stream.catchAll((error) =>
        error._tag === "EventsEnded" || error._tag === "EventsSilent" || passes(error, wasOpen)
          ? Stream.execute(pause(error))
          : Stream.fail(error)
      )
    )
    return Stream.forever(once)
  })
