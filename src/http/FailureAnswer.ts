import type { IncomingMessage } from "node:http"
import * as HttpServerError from "@effect/platform/HttpServerError"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Cause, Effect } from "effect"
import { orderLimit } from "../api/BodyRules.ts"
import { InternalError, isProblem, RouteNotFound } from "../api/Problems.ts"
import { logFields, type ReceivedRequest } from "./ReceivedRequest.ts"
import { refuse, refuseBody } from "./Refusal.ts"

/** Whether more of a body is on its way than is worth the wait for the next request on the same connection. */
const hasMuchToCome = ({ complete, headers }: IncomingMessage) =>
  !complete && (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > orderLimit)

/** The answer to a request that failed: the problem it failed with, or one that says nothing, with the cause in the log. */
export const failureAnswer = <E>(
  received: ReceivedRequest,
  cause: Cause.Cause<E>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E> => {
  const { incoming, method, route } = received
  if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause)
  const error = Cause.isFailure(cause) ? Cause.squash(cause) : undefined
  if (error instanceof HttpServerError.RouteNotFound) return Effect.succeed(refuse(new RouteNotFound()))
  if (isProblem(error)) return Effect.succeed(hasMuchToCome(incoming) ? refuseBody(error, incoming) : refuse(error))
  return Effect.logError(`${method} ${route?.path} failed`, cause).pipe(
    Effect.annotateLogs(logFields(received)),
    Effect.as(refuse(new InternalError()))
  )
}
