import { isUtf8 } from "node:buffer"
import { randomUUID } from "node:crypto"
import type { IncomingHttpHeaders, IncomingMessage } from "node:http"
import * as Headers from "@effect/platform/Headers"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Array as Arr, Cause, Effect, Exit, LogLevel, Option, Schema, Stream, type Tracer } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { mediaType } from "../api/Problem.ts"
import {
  BodyTooLarge,
  BodyTooLargeProblem,
  Draining,
  DrainingProblem,
  ForeignOrigin,
  ForeignOriginProblem,
  InternalError,
  InternalErrorProblem,
  MalformedRequest,
  MalformedRequestProblem,
  MethodNotAllowed,
  MethodNotAllowedProblem,
  RouteNotFound,
  RouteNotFoundProblem,
  UnsupportedMediaType,
  UnsupportedMediaTypeProblem
} from "../api/Problems.ts"
import { checked, linesOf, linesType, Malformed, parseJson } from "../Json.ts"
import { Metrics } from "../observe/Metrics.ts"
import { inSpan, isTraced, spanOf, traceparentOf } from "../observe/TraceContext.ts"
import { NodeServer, turnOf } from "./NodeServer.ts"

/** How much of a body that is refused is still read, so that the client gets to see why. */
const discardLimit = 16 * 1024 * 1024

/** Everything that can be refused before a handler sees the request. */
const Refusal = Schema.Union(
  MalformedRequestProblem,
  ForeignOriginProblem,
  RouteNotFoundProblem,
  MethodNotAllowedProblem,
  BodyTooLargeProblem,
  UnsupportedMediaTypeProblem,
  InternalErrorProblem,
  DrainingProblem
)
const isRefusal = Schema.is(Refusal)
const encodeRefusal = Schema.encodeSync(Refusal)
type Refusal = typeof Refusal.Type

const refuse = (error: Refusal) => {
  const body = encodeRefusal(error)
  return HttpServerResponse.unsafeJson(body, {
    status: body.status,
    headers:
      error._tag === "MethodNotAllowed"
        ? { allow: error.allow.join(", ") }
        : error._tag === "Draining"
          ? { "retry-after": String(error.retry_after) }
          : {},
    contentType: mediaType
  })
}

/**
 * The answer to a body that is too large. It goes out at once; then the rest of the body is read and thrown away for a
 * while before the connection closes, because a client still sending would see a reset in place of the answer.
 */
const refuseBody = (error: BodyTooLarge, incoming: IncomingMessage) => {
  const body = Buffer.from(JSON.stringify(encodeRefusal(error)))
  const discard = Effect.async<void>((resume) => {
    let left = discardLimit
    const done = () => resume(Effect.void)
    incoming.on("data", (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) done()
    })
    incoming.on("end", done).on("close", done).on("error", done).resume()
    if (incoming.readableEnded || incoming.destroyed) done()
  })
  return HttpServerResponse.stream(
    Stream.concat(Stream.make(body), Stream.drain(Effect.timeoutOption(discard, "5 seconds"))),
    { status: 413, headers: { connection: "close" }, contentType: mediaType, contentLength: body.length }
  )
}

export interface Route {
  readonly method: string
  /** As the router has it: a segment that begins with `:` stands for any. */
  readonly path: string
  /** It takes JSON of so many bytes, or lines of JSON too; the body of a request to any other route is not looked at. */
  readonly body?: { readonly limit: number; readonly lines: boolean } | undefined
  /** Answers in place of the application, which is not asked then: what is called most need not pass the router. */
  readonly handler?: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse, unknown>
  /** The Content-Security-Policy of its pages, where the strictest would break them. */
  readonly contentSecurityPolicy?: string
}

/** Finds the routes of a path. The router itself tells neither the other methods of a path nor the template. */
const routesByPath = (routes: ReadonlyArray<Route>) => {
  const paths = new Map(Object.entries(Arr.groupBy(routes, (route) => route.path)))
  const templates = Array.from(paths)
    .filter(([path]) => path.includes("/:"))
    .map(([path, routes]) => ({ pattern: new RegExp(`^${path.replaceAll(/:\w+/g, "[^/]+")}$`), routes }))
  return (path: string): ReadonlyArray<Route> =>
    paths.get(path) ?? templates.find(({ pattern }) => pattern.test(path))?.routes ?? []
}

const isRead = (method: string) => method === "GET" || method === "HEAD"

/** Whether a page of another origin sent this, by what browsers say of themselves. Other clients say nothing. */
const isForeign = (headers: IncomingHttpHeaders) => {
  const site = headers["sec-fetch-site"]
  if (site !== undefined && site !== "same-origin" && site !== "none") return true
  const { host, origin } = headers
  return origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host)
}

/** JSON is also meant where no media type is given. */
const mediaTypeOf = (headers: IncomingHttpHeaders) =>
  (headers["content-type"] ?? "application/json").split(";", 1)[0]?.trim().toLowerCase()

/** What is wrong with the media type, which is JSON or lines of JSON, in UTF-8. */
const wrongMediaType = (headers: IncomingHttpHeaders, lines: boolean): string | undefined => {
  const type = mediaTypeOf(headers)
  if (type !== "application/json" && !(lines && type === linesType)) {
    return `Send the body as Content-Type: application/json${lines ? ` or ${linesType}` : ""}, not ${JSON.stringify(type)}.`
  }
  const [, ...parameters] = (headers["content-type"] ?? "").toLowerCase().split(";")
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/.exec(parameter)?.[1])
    .find(Boolean)
  if (charset !== undefined && charset !== "utf-8" && charset !== "utf8") return "Send the JSON in UTF-8."
  const encoding = headers["content-encoding"]
  return encoding === undefined || encoding === "identity" ? undefined : "Send the body without a Content-Encoding."
}

const read = (incoming: IncomingMessage, limit: number): Effect.Effect<Buffer, BodyTooLarge | MalformedRequest> =>
  Effect.async((resume) => {
    const chunks: Array<Buffer> = []
    let size = 0
    const onData = (chunk: Buffer) => {
      size += chunk.length
      chunks.push(chunk)
      if (size > limit) end(new BodyTooLarge({ limit }))
    }
    const onEnd = () => end(Effect.succeed(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)))
    const onClose = () => end(new MalformedRequest({ detail: "The connection closed before the body was complete." }))
    const stop = () => incoming.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onClose)
    const end = (result: Effect.Effect<Buffer, BodyTooLarge | MalformedRequest>) => {
      stop()
      resume(result)
    }
    incoming.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onClose)
    return Effect.sync(stop)
  })

/** The JSON of a body, as far as it is looked at before its handler, or what is wrong with it. */
const decode = (bytes: Buffer, headers: IncomingHttpHeaders, lines: boolean): unknown => {
  if (bytes.length === 0) return new Malformed("is empty; send JSON")
  if (!isUtf8(bytes)) return new Malformed("is not UTF-8")
  const text = bytes.toString()
  // Of many orders each is judged for itself, by the handler.
  if (mediaTypeOf(headers) === linesType) return linesOf(text)
  const json = parseJson(text)
  return lines && Array.isArray(json) ? json : checked(json)
}

/** Reads the body of a request once, checks it, and lays it in the request as the JSON that its handler will ask for. */
const layJson = (
  request: HttpServerRequest.HttpServerRequest,
  incoming: IncomingMessage,
  { limit, lines }: NonNullable<Route["body"]>
): Effect.Effect<HttpServerRequest.HttpServerRequest, BodyTooLarge | MalformedRequest> => {
  if (Number(incoming.headers["content-length"] ?? 0) > limit) return new BodyTooLarge({ limit })
  return Effect.flatMap(Effect.interruptible(read(incoming, limit)), (bytes) => {
    const json = decode(bytes, incoming.headers, lines)
    return json instanceof Malformed
      ? new MalformedRequest({ detail: `The body ${json.why}.` })
      : Effect.succeed(Object.defineProperty(request, "json", { value: Effect.succeed(json) }))
  })
}

const securityHeaders = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/** The methods that metrics and traces name, as OpenTelemetry has it; any other is `_OTHER`. */
const namedMethods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"])

/** Asked for often, and nothing that anyone would look for in a trace. */
const untraced = ["/health", "/livez", "/readyz", "/metrics"]

/** The request as if it came from that span, so that what goes on in its trace does so from there. */
const asIfFrom = (request: HttpServerRequest.HttpServerRequest, span: Tracer.Span) =>
  request.modify({
    headers: Headers.set(request.headers, "traceparent", HttpTraceContext.toHeaders(span).traceparent ?? "")
  })

const requestIdPattern = /^[A-Za-z0-9._:-]{1,128}$/

/**
 * What every request passes, once, around the whole application: routes that do not exist, foreign origins, shutting
 * down, the body and its limits; and on the way back failures, headers and the measuring.
 */
export const makeGuard = Effect.fnUntraced(function* (routes: ReadonlyArray<Route>) {
  const { isDraining } = yield* NodeServer
  const metrics = yield* Metrics
  const { logLevel } = yield* AppConfig
  const clock = yield* Effect.clock
  const logsAccess = LogLevel.lessThanEqual(logLevel, LogLevel.Debug)
  const traced = yield* isTraced
  const routesOf = routesByPath(routes)

  return <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const outgoing = NodeHttpServerRequest.toServerResponse(request)
      if (outgoing.socket === null) yield* Effect.interruptible(turnOf(outgoing))
      const startedAt = clock.unsafeCurrentTimeNanos()
      const secondsSinceStart = () => Number(clock.unsafeCurrentTimeNanos() - startedAt) / 1e9
      const incoming = NodeHttpServerRequest.toIncomingMessage(request)
      const { headers, method = "GET", url = "/" } = incoming
      const methodName = namedMethods.has(method) ? method : "_OTHER"

      const given = headers["x-request-id"]
      const requestId = typeof given === "string" && requestIdPattern.test(given) ? given : randomUUID()
      const pathname = url.split("?", 1)[0] ?? url
      const found = routesOf(pathname)
      const route = found.find((route) => route.method === (method === "HEAD" ? "GET" : method))

      const admitted = (
        request: HttpServerRequest.HttpServerRequest,
        app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
      ): Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, R> => {
        if (headers.host === undefined && incoming.httpVersion === "1.1") {
          return new MalformedRequest({ detail: "The request has no Host header." })
        }
        if (found.length === 0) return new RouteNotFound()
        if (route === undefined) {
          const allow = found.flatMap((route) => (route.method === "GET" ? ["GET", "HEAD"] : [route.method]))
          return new MethodNotAllowed({ allow })
        }
        if (isRead(method)) return app
        if (isForeign(headers)) return new ForeignOrigin()
        if (isDraining()) return new Draining({ retry_after: 5 })
        if (route.body === undefined) return app
        const wrong = wrongMediaType(headers, route.body.lines)
        if (wrong !== undefined) return new UnsupportedMediaType({ detail: wrong })
        const { handler } = route
        const body = layJson(request, incoming, route.body)
        return handler ? Effect.flatMap(body, handler) : Effect.zipRight(body, app)
      }

      const answer = (
        request: HttpServerRequest.HttpServerRequest,
        app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
      ) => {
        const answered = Effect.catchAllCause(
          Effect.suspend(() => admitted(request, app)),
          (cause) => {
            if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause)
            const error = Cause.isFailure(cause) ? Cause.squash(cause) : undefined
            if (error instanceof BodyTooLarge) return Effect.succeed(refuseBody(error, incoming))
            if (error instanceof HttpServerError.RouteNotFound) return Effect.succeed(refuse(new RouteNotFound()))
            if (isRefusal(error)) return Effect.succeed(refuse(error))
            return Effect.logError(`${method} ${route?.path} failed`, cause).pipe(
              Effect.annotateLogs("request_id", requestId),
              Effect.as(refuse(new InternalError()))
            )
          }
        )
        if (!logsAccess) return answered
        return Effect.tap(answered, ({ status }) =>
          Effect.annotateLogs(Effect.logDebug("Request answered"), {
            method: methodName,
            route: route?.path ?? "none",
            status,
            ms: Math.round(secondsSinceStart() * 1000)
          })
        ).pipe(Effect.annotateLogs("request_id", requestId))
      }

      const inItsSpan = ({ path }: Route) =>
        inSpan(
          `${methodName} ${path}`,
          {
            kind: "server",
            parent: Option.flatMap(traceparentOf(request.headers), spanOf),
            attributes: {
              "http.request.method": methodName,
              "http.route": path,
              "url.path": pathname,
              "orders.request_id": requestId
            }
          },
          (span) => {
            const within = asIfFrom(request, span)
            return answer(within, Effect.provideService(app, HttpServerRequest.HttpServerRequest, within))
          },
          (exit) => {
            if (Exit.isFailure(exit)) return { attributes: {} }
            const { status } = exit.value
            return {
              attributes: { "http.response.status_code": status },
              error: status >= 500 ? String(status) : undefined
            }
          }
        )

      const response = yield* traced && route !== undefined && !untraced.includes(route.path)
        ? inItsSpan(route)
        : answer(request, app)

      if (response.status === 422) metrics.refused("InvalidRequest")
      metrics.request(methodName, route?.path, response.status, secondsSinceStart())
      return HttpServerResponse.setHeaders(response, {
        ...securityHeaders,
        ...(route?.contentSecurityPolicy ? { "content-security-policy": route.contentSecurityPolicy } : undefined),
        ...(isDraining() ? { connection: "close" } : undefined),
        ...response.headers,
        "x-request-id": requestId
      })
    })
})
