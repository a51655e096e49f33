import * as Headers from "@effect/platform/Headers"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import { Effect, Exit, Option, type Tracer } from "effect"
import { inSpan, isTraced, spanOf, traceparentOf } from "../observe/TraceContext.ts"
import { keyField } from "./Access.ts"
import type { ReceivedRequest } from "./ReceivedRequest.ts"

/** Asked for often, and nothing that anyone would look for in a trace. */
const untraced = ["/health", "/livez", "/readyz", "/metrics"]

/** The request as if it came from that span, so that what goes on in its trace does so from there. */
const asIfFrom = (request: HttpServerRequest.HttpServerRequest, span: Tracer.Span) =>
  request.modify({
    headers: Headers.set(request.headers, "traceparent", HttpTraceContext.toHeaders(span).traceparent ?? "")
  })

type App<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

/** Answers a request within its span, which goes on in the trace that the request brings. */
export const makeRequestSpan = Effect.map(
  isTraced,
  (traced) =>
    <E, R, E2, R2>(
      { access, methodName, pathname, requestId, route }: ReceivedRequest,
      request: HttpServerRequest.HttpServerRequest,
      app: App<E, R>,
      answer: (request: HttpServerRequest.HttpServerRequest, app: App<E, R>) => App<E2, R2>
    ) => {
      if (!traced || route === undefined || untraced.includes(route.path)) return answer(request, app)
      const { key } = keyField(access) ?? {}
      return inSpan(
        `${methodName} ${route.path}`,
        {
          kind: "server",
          parent: Option.flatMap(traceparentOf(request.headers), spanOf),
          attributes: {
            "http.request.method": methodName,
            "http.route": route.path,
            "url.path": pathname,
            "orders.request_id": requestId,
            ...(key === undefined ? undefined : { "orders.key": key })
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
    }
)
