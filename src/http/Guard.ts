import { randomUUID } from "node:crypto"
import * as Headers from "@effect/platform/Headers"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Cause, Effect, Exit, LogLevel, Option, type Tracer } from "effect"
import { AppConfig } from "../AppConfig.ts"
import {
  BodyTooLarge,
  Draining,
  ForeignOrigin,
  InternalError,
  isProblem,
  MalformedRequest,
  MethodNotAllowed,
  MisdirectedRequest,
  RouteNotFound
} from "../api/Problems.ts"
import { Metrics } from "../observe/Metrics.ts"
import { inSpan, isTraced, spanOf, traceparentOf } from "../observe/TraceContext.ts"
import { NodeServer, turnOf } from "./NodeServer.ts"
import { isForeign, isMisdirected } from "./Origins.ts"
import { refuse, refuseBody } from "./Refusal.ts"
import { RequestBody, readBody } from "./RequestBody.ts"
import { type Route, routesByPath } from "./Route.ts"

const isRead = (method: string) => method === "GET" || method === "HEAD"

const securityHeaders = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
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
 * What every request passes, once, around the whole application: foreign hosts and origins, routes that do not exist, shutting
 * down, the body and its limits; and on the way back failures, headers and the measuring.
 */
export const makeGuard = Effect.fnUntraced(function* (routes: ReadonlyArray<Route>) {
  const { isDraining } = yield* NodeServer
  const metrics = yield* Metrics
  const { allowedHosts, allowedOrigins, logLevel } = yield* AppConfig
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
        if (isMisdirected(incoming, allowedHosts)) return new MisdirectedRequest()
        if (found.length === 0) return new RouteNotFound()
        if (route === undefined) {
          const allow = found.flatMap((route) => (route.method === "GET" ? ["GET", "HEAD"] : [route.method]))
          return new MethodNotAllowed({ allow })
        }
        if ((route.isPrivate === true || !isRead(method)) && isForeign(headers, allowedOrigins))
          return new ForeignOrigin()
        if (isRead(method)) return app
        if (isDraining()) return new Draining({ retry_after: 5 })
        if (route.body === undefined) return app
        const { handler } = route
        return Effect.flatMap(readBody(incoming, route.body), (body) =>
          handler ? handler(request, body) : Effect.provideService(app, RequestBody, body)
        )
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
            if (isProblem(error)) return Effect.succeed(refuse(error))
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
