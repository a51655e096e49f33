import {
  Array as Arr,
  Cause,
  Context,
  Effect,
  FiberRef,
  FiberRefs,
  HashMap,
  Inspectable,
  Layer,
  Logger,
  Option,
  Tracer
} from "effect"
import { AppConfig } from "../AppConfig.ts"
import { visible, visibleJson, visibleLines } from "../order/VisibleText.ts"

/** What went wrong: of failures what they say, of defects the stack too. */
const errorOf = (cause: Cause.Cause<unknown>) =>
  Cause.isDie(cause)
    ? Cause.pretty(cause, { renderErrorCause: true })
    : Cause.isInterruptedOnly(cause)
      ? "interrupted"
      : Cause.prettyErrors(cause)
          .map((error) => error.message)
          .join("; ")

const spanOf = (refs: FiberRefs.FiberRefs) =>
  Option.filter(
    Context.getOption(FiberRefs.getOrDefault(refs, FiberRef.currentContext), Tracer.ParentSpan),
    // What stands in for a span where there is no trace.
    ({ traceId }) => traceId !== "noop"
  )

/**
 * What a line of the log says: `time`, `level`, `message`, then what it is about (`order_id`, `run`, `attempt`,
 * `request_id`, ...), the span it belongs to, and the `error`.
 */
const entry = ({ annotations, cause, context, date, logLevel, message }: Logger.Logger.Options<unknown>) => ({
  time: date.toISOString(),
  level: logLevel.label,
  message: Arr.ensure(message)
    .map((part) => Inspectable.toStringUnknown(part, 0))
    .join(" "),
  ...Object.fromEntries(
    Array.from(annotations, ([key, value]) => [key, typeof value === "bigint" ? String(value) : value])
  ),
  ...Option.match(spanOf(context), {
    onNone: () => undefined,
    onSome: ({ spanId, traceId }) => ({ trace_id: traceId, span_id: spanId })
  }),
  ...(Cause.isEmpty(cause) ? undefined : { error: errorOf(cause) })
})

const json = Logger.make<unknown, string>((options) => visibleJson(Inspectable.stringifyCircular(entry(options))))

const bare = /^[^\s"=]+$/

const logfmt = Logger.make<unknown, string>((options) =>
  Object.entries(entry(options))
    .map(([key, value]) => {
      const text = Inspectable.toStringUnknown(value, 0)
      return `${key}=${bare.test(text) && visible(text) === text ? text : visibleJson(JSON.stringify(text))}`
    })
    .join(" ")
)

const replacedBy = (logger: Logger.Logger<unknown, string>) =>
  Logger.replace(Logger.defaultLogger, Logger.withConsoleLog(logger))

const textOf = (value: unknown) => visible(Inspectable.toStringUnknown(value, 0))

/** Nothing in it steers the terminal but the colours of the logger. A stack has its lines, which are indented. */
const pretty = Logger.mapInputOptions(Logger.prettyLogger(), (options: Logger.Logger.Options<unknown>) => {
  const { annotations, cause, message } = options
  const [first = "", ...others] = Arr.ensure(message).map(textOf)
  const why = Cause.isEmpty(cause) ? [] : [visibleLines(Cause.pretty(cause, { renderErrorCause: true }))]
  return {
    ...options,
    message: [first, ...why, ...others],
    cause: Cause.empty,
    annotations: HashMap.map(annotations, textOf)
  }
})

const formats = {
  pretty: Logger.replace(Logger.defaultLogger, pretty),
  json: replacedBy(json),
  logfmt: replacedBy(logfmt)
}

/** Logs to standard output, as `LOG_FORMAT` and `LOG_LEVEL` say. */
export const LoggingLive = Layer.unwrapEffect(
  Effect.map(AppConfig, ({ logFormat, logLevel }) => Layer.merge(formats[logFormat], Logger.minimumLogLevel(logLevel)))
)
