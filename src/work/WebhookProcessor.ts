import { createHmac } from "node:crypto"
import type * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import {
  Cause,
  Clock,
  Duration,
  Effect,
  Exit,
  Layer,
  Option,
  Predicate,
  Redacted,
  Schema,
  Stream,
  type Tracer
} from "effect"
import { AppConfig, type Webhook } from "../AppConfig.ts"
import { isDeeperThan, Malformed, maxDepth, parseJson } from "../Json.ts"
import { inSpan, type SpanEnd } from "../observe/TraceContext.ts"
import { Order } from "../order/Order.ts"
import { maxResult, OrderProcessor, Permanent, Retryable, type Run, Unavailable } from "./OrderProcessor.ts"

const longestAttempt = Duration.seconds(15)
const longestRetryAfter = Duration.hours(1)
const maxAnswerBytes = 65_536

/** Answers by which the endpoint refuses this order for good. */
const refusals = [400, 409, 422]
/** By a 409 with this code the endpoint says that it did the order's part at an earlier attempt. */
const alreadyProcessed = "already_processed"
/** Answers that ask for another try of this order. */
const tryAgain = [408, 425]

const encodeOrder = Schema.encodeSync(Order.json)

/** The headers that prove who sent the body and when, by Standard Webhooks 1.0 (https://www.standardwebhooks.com). */
const signed = (secrets: Webhook["secrets"], id: string, seconds: number, body: string) => ({
  "webhook-id": id,
  "webhook-timestamp": String(seconds),
  "webhook-signature": secrets
    .map((secret) => createHmac("sha256", Buffer.from(Redacted.value(secret), "base64")))
    .map((hmac) => `v1,${hmac.update(`${id}.${seconds}.${body}`).digest("base64")}`)
    .join(" ")
})

/**
 * By RFC 9110, 10.2.3: seconds, or a date. A date is meant by the clock of the endpoint, which the answer's `Date` shows;
 * ours may be wrong. What lies in the past asks for nothing.
 */
const retryAfter = (headers: Headers.Headers, now: number): Option.Option<Duration.Duration> => {
  const { date = "", "retry-after": value = "" } = headers
  const sentAt = Date.parse(date)
  const millis = /^\d+$/.test(value)
    ? Number(value) * 1000
    : / GMT$/.test(value)
      ? Date.parse(value) - (Number.isNaN(sentAt) ? now : sentAt)
      : 0
  return millis > 0 ? Option.some(Duration.min(Duration.millis(millis), longestRetryAfter)) : Option.none()
}

const nothingRead: { readonly chunks: ReadonlyArray<Uint8Array>; readonly size: number } = { chunks: [], size: 0 }

/** The JSON of an answer; none if it is none, or larger than what is read. */
const readJson = (response: HttpClientResponse.HttpClientResponse) =>
  response.stream.pipe(
    Stream.runFoldWhile(
      nothingRead,
      ({ size }) => size <= maxAnswerBytes,
      ({ chunks, size }, chunk) => ({ chunks: [...chunks, chunk], size: size + chunk.length })
    ),
    Effect.map(({ chunks, size }) => {
      // TextDecoder leaves out the byte order mark that some put first.
      const json = size <= maxAnswerBytes ? parseJson(new TextDecoder().decode(Buffer.concat(chunks))) : undefined
      return json instanceof Malformed || isDeeperThan(json, maxDepth) ? undefined : json
    })
  )

const text = (value: unknown) =>
  typeof value === "number" || (typeof value === "string" && value !== "") ? Option.some(String(value)) : Option.none()

const isDone = (status: number, json: unknown) =>
  (status >= 200 && status < 300) ||
  (status === 409 && Predicate.hasProperty(json, "code") && json.code === alreadyProcessed)

/** Why the endpoint refused: `code` and `message`, or what RFC 9457 has in their place. */
const refusal = (status: number, json: unknown) => {
  const field = (name: string) => (Predicate.hasProperty(json, name) ? text(json[name]) : Option.none())
  return new Permanent({
    code: Option.getOrElse(
      Option.orElse(field("code"), () => field("type")),
      () => `http_${status}`
    ),
    message: Option.getOrElse(
      Option.firstSomeOf([field("message"), field("detail"), field("title"), field("error")]),
      () => `The endpoint answered ${status}`
    )
  })
}

/** What fails before the endpoint has seen the request, by the names of Node and OpenSSL: no order can be to blame. */
const notConnected =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|.*(CERT|TLS|SSL).*)$/

const connectionFailed = (error: HttpClientError.HttpClientError) => {
  const cause = error.cause
  const code = Predicate.hasProperty(cause, "code") ? String(cause.code) : "unknown"
  const message = cause instanceof Error ? cause.message : String(cause)
  return new Unavailable({
    code: "connection_failed",
    message: `No whole answer from the endpoint: ${code}: ${message}`,
    unreachable: notConnected.test(code)
  })
}

const timedOut = (limit: Duration.Duration) =>
  new Unavailable({ code: "timeout", message: `The endpoint gave no whole answer within ${Duration.format(limit)}` })

/** The status as OpenTelemetry has it; of what went wrong the code alone, for the message can name the whole URL. */
const endOfRequest = (exit: Exit.Exit<{ readonly status: number }, Unavailable>): SpanEnd => {
  if (Exit.isSuccess(exit)) {
    const { status } = exit.value
    const attributes = { "http.response.status_code": status }
    return status < 400 ? { attributes } : { attributes: { ...attributes, "error.type": status }, error: `${status}` }
  }
  if (Cause.isInterruptedOnly(exit.cause)) return { attributes: {} }
  const error = Option.match(Cause.failureOption(exit.cause), { onNone: () => "defect", onSome: ({ code }) => code })
  return { attributes: { "error.type": error ?? "unavailable" }, error: error ?? "unavailable" }
}

/**
 * Hands each order to the shop's endpoint: one POST for each attempt, signed by Standard Webhooks. `webhook-id` is the
 * same for all attempts until someone asks for the order again, so that the endpoint can recognise a repeat.
 *
 * | answer | meaning |
 * |---|---|
 * | 2xx, or 409 with the code `already_processed` | Completed; a JSON body is the result |
 * | 400, 409, 422 | `Permanent`, with `code` and `message` of a JSON body |
 * | 408, 425 | `Retryable` |
 * | any other, or none | `Unavailable`; `Retry-After` is honoured up to an hour |
 */
export const layer = ({ secrets, url }: Webhook) =>
  Layer.effect(
    OrderProcessor,
    Effect.gen(function* () {
      // The span of a request is made here; that of the platform would show the signature.
      const client = HttpClient.withTracerDisabledWhen(yield* HttpClient.HttpClient, () => true)
      const { attemptTimeout } = yield* AppConfig
      // What the endpoint does not answer in time is its fault; `ATTEMPT_TIMEOUT` would make it the order's.
      const limit = Duration.min(longestAttempt, Duration.times(attemptTimeout, 0.9))

      const send = Effect.fnUntraced(function* (
        order: Order,
        { attempt, idempotencyKey, run }: Run,
        span: Tracer.Span
      ) {
        const now = yield* Clock.currentTimeMillis
        const timestamp = new Date(now).toISOString()
        const body = JSON.stringify({ type: "order.process", timestamp, order: encodeOrder(order), run, attempt })
        // A dot parts the id from the time in what is signed, so the id must have none. No order id has a tilde.
        const id = idempotencyKey.replaceAll(".", "~")
        const response = yield* HttpClientRequest.post(url.href).pipe(
          HttpClientRequest.setHeaders({ "user-agent": "orders", accept: "application/json" }),
          HttpClientRequest.setHeader("traceparent", HttpTraceContext.toHeaders(span).traceparent ?? ""),
          HttpClientRequest.setHeaders(signed(secrets, id, Math.floor(now / 1000), body)),
          HttpClientRequest.bodyText(body, "application/json"),
          client.execute
        )
        const json = yield* readJson(response)
        return { status: response.status, json, delay: retryAfter(response.headers, now) }
      })

      // Neither the path nor the query: they may hold a key.
      const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port)
      const attributes = { "http.request.method": "POST", "server.address": url.hostname, "server.port": port }

      return {
        name: "webhook" as const,
        ready: Effect.void,
        process: Effect.fnUntraced(function* (order, run) {
          const { delay, json, status } = yield* inSpan(
            "POST",
            { kind: "client", attributes },
            (span) =>
              send(order, run, span).pipe(
                Effect.catchTags({
                  RequestError: (error) => connectionFailed(error),
                  ResponseError: (error) => connectionFailed(error)
                }),
                Effect.timeoutFail({ duration: limit, onTimeout: () => timedOut(limit) })
              ),
            endOfRequest
          )
          if (isDone(status, json)) {
            // The shop has done its part, so a result that cannot be kept fails nothing.
            return json === undefined || JSON.stringify(json).length > maxResult ? undefined : json
          }
          if (refusals.includes(status)) return yield* refusal(status, json)
          const code = `http_${status}`
          const message = `The endpoint answered ${status}`
          const asked = Option.match(delay, { onNone: () => undefined, onSome: (delay) => ({ delay }) })
          return yield* tryAgain.includes(status)
            ? new Retryable({ code, message, ...asked })
            : new Unavailable({ code, message, ...asked })
        })
      }
    })
  ).pipe(Layer.provide(NodeHttpClient.layerUndici))
