import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, LogLevel } from "effect"
import { AppConfig } from "../AppConfig.ts"
import type { ReceivedRequest } from "./ReceivedRequest.ts"

/** Logs each request with its answer, and the request id with all that is logged meanwhile, from the level Debug on. */
export const makeAccessLog = Effect.map(AppConfig, ({ logLevel }) => {
  const logsAccess = LogLevel.lessThanEqual(logLevel, LogLevel.Debug)
  return <E, R>(
    { methodName, requestId, route, secondsSinceStart }: ReceivedRequest,
    answered: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) => {
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
})
