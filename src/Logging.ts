import { Effect, Layer, Logger } from "effect"
import { AppConfig } from "./AppConfig.ts"

const formats = { pretty: Logger.pretty, json: Logger.json, logfmt: Logger.logFmt }

/** Logs to standard output, as `LOG_FORMAT` and `LOG_LEVEL` say. */
export const LoggingLive = Layer.unwrapEffect(
  Effect.map(AppConfig, ({ logFormat, logLevel }) => Layer.merge(formats[logFormat], Logger.minimumLogLevel(logLevel)))
)
