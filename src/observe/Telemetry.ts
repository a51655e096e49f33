import * as OtlpMetrics from "@effect/opentelemetry/OtlpMetrics"
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import { ConfigProvider, Duration, Effect, Layer, Option, Predicate, Redacted, Tracer } from "effect"
import { monotonicMillis } from "../MonotonicClock.ts"
import type { Telemetry } from "../TelemetrySettings.ts"
import { unkept } from "./TraceContext.ts"

/** How long the receiver may take for an answer, and how many requests to it may wait for theirs. */
const patience = "10 seconds"
const maxInFlight = 8
/** How long a shutdown waits for what is not sent yet, for spans and for metrics. */
const flushTime = Duration.seconds(1)
/** At most so often is it said that the receiver fails. */
const sayAgain = 3_600_000

/** Where the last 56 bits of a trace's id lie among all there can be: the same in every service that asks. */
const shareOf = (traceId: string) => Number.parseInt(traceId.slice(-14), 16) / 2 ** 56

/**
 * The tracer of OTLP, which would keep every span, with the sampler before it. Spans inside the service follow the one
 * around them. One that is nobody's child and neither a request nor an order, such as a statement of the feeder,
 * is not kept.
 */
const sampled = (tracer: Tracer.Tracer, { parentBased, share }: Telemetry["sampler"]) => {
  const isKept = (parent: Option.Option<Tracer.AnySpan>, kind: Tracer.SpanKind, traceId: string) => {
    if (Option.isNone(parent) && kind !== "server" && kind !== "consumer") return false
    if (Option.isSome(parent) && (parent.value._tag === "Span" || parentBased)) return parent.value.sampled
    return shareOf(traceId) < share
  }
  return Tracer.make({
    span: (name, parent, context, links, startTime, kind, options) => {
      const span = tracer.span(name, parent, context, links, startTime, kind, options)
      const { spanId, traceId } = span
      if (isKept(parent, kind, traceId)) return span
      return unkept(name, parent, context, startTime, kind, { traceId, spanId, sampled: false })
    },
    context: (run, fiber) => tracer.context(run, fiber)
  })
}

/** The exporter marks every failed span as interrupted, which is not so. */
const mistaken = ["span.label", "status.interrupted"]
const withoutMistakes = (key: string, value: unknown) =>
  key === "attributes" && Array.isArray(value)
    ? value.filter(
        (attribute) => !(Predicate.hasProperty(attribute, "key") && mistaken.some((key) => key === attribute.key))
      )
    : value

const JsonLive = Layer.succeed(OtlpSerialization.OtlpSerialization, {
  traces: (data) => HttpBody.text(JSON.stringify(data, withoutMistakes), "application/json"),
  metrics: (data) => HttpBody.unsafeJson(data),
  logs: (data) => HttpBody.unsafeJson(data)
})

const ProtobufLive = Layer.effect(
  OtlpSerialization.OtlpSerialization,
  Effect.map(OtlpSerialization.OtlpSerialization, (protobuf) => ({
    ...protobuf,
    traces: (data: unknown) => protobuf.traces(JSON.parse(JSON.stringify(data, withoutMistakes)))
  }))
).pipe(Layer.provide(OtlpSerialization.layerProtobuf))

/** In words that do not name the whole URL, which may hold a key. */
const whyNotExported = ({ cause, description, reason }: HttpClientError.HttpClientError) => {
  const root = cause instanceof Error ? (cause.cause ?? cause) : undefined
  return root instanceof Error ? root.message || root.name : (description ?? reason)
}

/**
 * The client of the exporters, which try again three times and then throw away what comes within a minute. A receiver
 * that does not answer must not make memory grow, nor one that fails fill the log.
 */
const ClientLive = (endpoint: URL) =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.gen(function* () {
      let inFlight = 0
      let saidAt: number | undefined
      const monotonic = yield* monotonicMillis
      const say = (reason: string) =>
        Effect.suspend(() => {
          const now = monotonic()
          if (saidAt !== undefined && now - saidAt < sayAgain) return Effect.void
          saidAt = now
          return Effect.logWarning(`Traces and metrics cannot be sent to ${endpoint.host}: ${reason}`)
        })
      return HttpClient.transform(yield* HttpClient.HttpClient, (sent, request) => {
        const failed = (description: string) =>
          new HttpClientError.RequestError({ request, reason: "Transport", description })
        return Effect.suspend(() => {
          if (inFlight >= maxInFlight) return failed("too many requests wait for an answer")
          inFlight += 1
          return sent.pipe(
            // Until its answer has been read a connection is not free for the next request.
            Effect.tap((response) => response.arrayBuffer),
            Effect.timeoutFail({ duration: patience, onTimeout: () => failed(`no answer within ${patience}`) }),
            Effect.ensuring(
              Effect.sync(() => {
                inFlight -= 1
              })
            )
          )
        }).pipe(
          Effect.tapBoth({
            onFailure: (error) => say(whyNotExported(error)),
            onSuccess: ({ status }) => (status < 400 ? Effect.void : say(`it answers ${status}`))
          })
        )
      })
    })
  ).pipe(
    Layer.provide(FetchHttpClient.layer),
    // Where a redirect led, the headers with their keys would follow.
    Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { redirect: "error" }))
  )

/** Sends spans and metrics to an OTLP receiver. Nothing it meets slows down or fails the service. */
export const layer = (settings: Telemetry) => {
  const { endpoint, headers, protocol, resource, sampler, sendsMetrics, sendsTraces, serviceName } = settings
  const optionsFor = (path: string) => ({
    url: `${endpoint.href.replace(/\/$/, "")}${path}`,
    resource: { serviceName, attributes: resource },
    headers: Redacted.value(headers),
    shutdownTimeout: flushTime
  })
  const TracerLive = sendsTraces
    ? Layer.unwrapScoped(
        Effect.map(OtlpTracer.make(optionsFor("/v1/traces")), (tracer) => Layer.setTracer(sampled(tracer, sampler)))
      )
    : Layer.setTracerEnabled(false)
  const MetricsLive = sendsMetrics
    ? OtlpMetrics.layer({ ...optionsFor("/v1/metrics"), exportInterval: Duration.minutes(1) })
    : Layer.empty
  return Layer.mergeAll(TracerLive, MetricsLive).pipe(
    Layer.provide([protocol === "http/protobuf" ? ProtobufLive : JsonLive, ClientLive(endpoint)]),
    // It would read the environment itself.
    Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map())))
  )
}
