import * as HttpApiClient from "@effect/platform/HttpApiClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { Data, Duration, Effect, identity, type Redacted, Schema, Stream } from "effect"
import { Api } from "./Api.ts"
import { type EventFilter, EventParameters } from "./Filters.ts"
import { deadAfterSeconds } from "./Heartbeat.ts"
import { OrderEvent } from "./OrderEvent.ts"
import { AnyProblem } from "./Problems.ts"

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

const encodeFilter = Schema.encodeSync(EventParameters)
const decodeEvent = Schema.decode(Schema.parseJson(OrderEvent))
const decodeProblem = HttpClientResponse.schemaBodyJson(AnyProblem)

const data = "data: "

const refusal = (response: HttpClientResponse.HttpClientResponse) =>
  decodeProblem(response).pipe(
    Effect.timeout("5 seconds"),
    Effect.mapError(
      (cause) => new HttpClientError.ResponseError({ request: response.request, response, reason: "StatusCode", cause })
    ),
    Effect.flatMap(Effect.fail)
  )

/** Opens the stream of the changes that fit: done when the service has answered, with the events that come from then on. */
export const openEvents = Effect.fnUntraced(function* (options: Options, filter: EventFilter = {}) {
  // The base is added last, as by `HttpApiClient`, so that a transformation sees the same path here as there.
  const client = HttpClient.mapRequest(
    sending(options)(yield* HttpClient.HttpClient),
    HttpClientRequest.prependUrl(options.baseUrl.toString())
  )
  const response = yield* client.get("/api/events", { urlParams: encodeFilter(filter) })
  if (response.status !== 200) return yield* refusal(response)
  return response.stream.pipe(
    Stream.timeoutFail(() => new EventsSilent({ seconds: deadAfterSeconds }), Duration.seconds(deadAfterSeconds)),
    Stream.decodeText(),
    Stream.splitLines,
    // Each event has one line of data. With the parser of @effect/experimental it took most of a simulation's time.
    Stream.filter((line) => line.startsWith(data)),
    Stream.mapEffect((line) => decodeEvent(line.slice(data.length)))
  )
})

/**
 * The committed changes of status that fit, as they come. Ends when the service ends the stream, as it does when it
 * shuts down. Nothing is replayed: after opening it again, read the state again.
 */
export const events = (options: Options, filter?: EventFilter) => Stream.unwrap(openEvents(options, filter))
