import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect } from "effect"
import { Metrics } from "../observe/Metrics.ts"
import { makeAccess, rateFields } from "./Access.ts"
import { makeAccessLog } from "./AccessLog.ts"
import { makeAdmission } from "./Admission.ts"
import { failureAnswer } from "./FailureAnswer.ts"
import { NodeServer } from "./NodeServer.ts"
import { receiver } from "./ReceivedRequest.ts"
import { makeRequestSpan } from "./RequestSpan.ts"
import type { Route } from "./Route.ts"

const securityHeaders = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/**
 * What every request passes, once, around the whole application: its span, what it may be
 * refused for, and the body; and on the way back failures, the access log, the measuring and the headers.
 */
export const makeGuard = Effect.fnUntraced(function* (routes: ReadonlyArray<Route>) {
  const { isDraining } = yield* NodeServer
  const metrics = yield* Metrics
  const receive = receiver(routes, yield* makeAccess, yield* Effect.clock)
  const admit = yield* makeAdmission
  const logAccess = yield* makeAccessLog
  const inItsSpan = yield* makeRequestSpan

  return <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const received = receive(NodeHttpServerRequest.toIncomingMessage(request))
      const { access, methodName, requestId, route, secondsSinceStart } = received

      const response = yield* inItsSpan(received, request, app, (request, app) =>
        logAccess(
          received,
          Effect.catchAllCause(
            Effect.suspend(() => admit(received, request, app)),
            (cause) => failureAnswer(received, cause)
          )
        )
      )

      if (response.status === 422) metrics.refused("InvalidRequest")
      metrics.request(methodName, route?.path, response.status, secondsSinceStart())
      return HttpServerResponse.setHeaders(response, {
        ...securityHeaders,
        ...(route?.contentSecurityPolicy ? { "content-security-policy": route.contentSecurityPolicy } : undefined),
        ...(access.rate ? rateFields(access.rate) : undefined),
        ...(isDraining() ? { connection: "close" } : undefined),
        ...response.headers,
        "x-request-id": requestId
      })
    })
})
