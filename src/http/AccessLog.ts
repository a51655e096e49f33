import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, LogLevel } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { logFields, type ReceivedRequest } from "./ReceivedRequest.ts"

/** Logs each request with its answer, and the request's id and key with all that is logged meanwhile, from the level Debug on. */
export const makeAccessLog = Effect.map(AppConfig, ({ logLevel }) => {
  const logsAccess = LogLevel.lessThanEqual(logLevel, LogLevel.Debug)
  return <E, R>(received: ReceivedRequest, answered: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) => {
    if (!logsAccess) return answered
    const { methodName, route, secondsSinceStart } = received
    return Effect.tap(answered, ({ status }) =>
      Effect.annotateLogs(Effect.logDebug("Request answered"), {
        method: methodName,
        route: route?.path ?? "none",
        status,
        ms: Math.round(secondsSinceStart() * 1000)
      })
    ).pipe(Effect.annotateLogs(logFields(received)))
  }
})
