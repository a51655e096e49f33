import * as Path from "node:path"
import * as PlatformConfigProvider from "@effect/platform/PlatformConfigProvider"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import {
  Array as Arr,
  Config,
  ConfigError,
  ConfigProvider,
  Context,
  Duration,
  Effect,
  Either,
  Layer,
  LogLevel,
  Option,
  Redacted,
  Struct
} from "effect"
import { StartupError } from "./StartupError.ts"

const withoutPassword = (given: string) => given.replace(/:\/\/([^/:@]*):[^/@]*@/, "://$1:***@")

const mistake = (name: string, given: string, allowed: string) =>
  ConfigError.InvalidData([name], `${name}: given ${given}, allowed is ${allowed}`)

/** What may be a secret, or have one in it. */
const notShown = () => "(not shown)"

const needed = (name: string, what: string) =>
  ConfigError.InvalidData([name], `${name}: not given, PROCESSOR=webhook needs ${what}`)

const setting = <A>(
  name: string,
  fallback: A,
  allowed: string,
  parse: (given: string) => Option.Option<A>,
  shown = (given: string) => JSON.stringify(withoutPassword(given))
): Config.Config<A> =>
  Config.string(name).pipe(
    Config.mapOrFail((given) => Either.fromOption(parse(given.trim()), () => mistake(name, shown(given), allowed))),
    Config.withDefault(fallback)
  )

const wholeNumber = (name: string, fallback: number, min: number, max: number) =>
  setting(name, fallback, `a whole number from ${min} to ${max}`, (given) => {
    const value = Number(given)
    return /^\d+$/.test(given) && value >= min && value <= max ? Option.some(value) : Option.none()
  })

const share = (name: string, fallback: number) =>
  setting(name, fallback, "a number from 0 to 1", (given) => {
    const value = Number(given)
    return /^\d*\.?\d+$/.test(given) && value <= 1 ? Option.some(value) : Option.none()
  })

const duration = (
  name: string,
  fallback: Duration.DurationInput,
  min: Duration.DurationInput,
  max: Duration.DurationInput
) =>
  setting(
    name,
    Duration.decode(fallback),
    `a duration from ${Duration.format(min)} to ${Duration.format(max)}, such as "500 millis" or "2 seconds"`,
    (given) =>
      Option.filter(
        // Effect reads a negative duration as zero.
        given.startsWith("-") ? Option.none() : Duration.decodeUnknown(given),
        Duration.between({ minimum: Duration.decode(min), maximum: Duration.decode(max) })
      )
  )

const oneOf = <const A extends string>(name: string, fallback: A, values: ReadonlyArray<A>) =>
  setting(name, fallback, values.join(", "), (given) => Option.fromNullable(values.find((value) => value === given)))

/** `file:` with a path, relative to the working folder, or absolute. The forms of a file URL are understood too. */
export const databaseFile = setting(
  "DATABASE_URL",
  Path.resolve("data/orders.db"),
  "file: and a path, such as file:./data/orders.db",
  (given) => {
    const match = /^file:(?:\/\/(?:localhost)?(?=\/))?([^?#]*[^?#/])$/.exec(given)
    const path = match?.[1]
    if (path === undefined || path.startsWith("//") || path.startsWith(":")) return Option.none()
    return Option.map(Option.liftThrowable(decodeURIComponent)(path), (path) => Path.resolve(path))
  }
)

/** The shop's endpoint, and what requests to it are signed with: each secret makes a signature of its own. */
export interface Webhook {
  readonly url: URL
  /** In base64. */
  readonly secrets: Arr.NonEmptyReadonlyArray<Redacted.Redacted>
}

const webhookUrl = "an http or https URL without a password and without #, such as https://shop.example/fulfil"
const webhookSecret =
  "a secret of 24 to 64 bytes in base64, with or without whsec_ before it, or several with spaces between them"

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

/** Standard Webhooks, "Signature scheme". */
const secretOf = (given: string) => {
  const secret = given.replace(/^whsec_/, "")
  const bytes = base64.test(secret) ? Buffer.from(secret, "base64").length : 0
  return bytes >= 24 && bytes <= 64 ? Option.some(Redacted.make(secret)) : Option.none()
}

const isWebhookUrl = (given: string) => {
  const url = Option.getOrUndefined(Option.liftThrowable(() => new URL(given))())
  return (
    url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "" && url.hash === ""
  )
}

const isGiven = (name: string) => Config.map(Config.option(Config.string(name)), Option.isSome)

/** What of the webhook's settings is missing is told beside what is wrong with the others. */
const webhookIsComplete = Config.all([
  Config.withDefault(Config.string("PROCESSOR"), ""),
  isGiven("WEBHOOK_URL"),
  isGiven("WEBHOOK_SECRET")
]).pipe(
  Config.mapOrFail(([kind, hasUrl, hasSecret]): Either.Either<void, ConfigError.ConfigError> => {
    const missing = [
      ...(hasUrl ? [] : [needed("WEBHOOK_URL", webhookUrl)]),
      ...(hasSecret ? [] : [needed("WEBHOOK_SECRET", webhookSecret)])
    ]
    return kind.trim() === "webhook" && Arr.isNonEmptyArray(missing)
      ? Either.left(missing.reduce((all, one) => ConfigError.And(all, one)))
      : Either.void
  })
)

/** What processes the orders. The settings of the webhook are looked at in any case, and needed only for it. */
const processor = Config.all([
  oneOf("PROCESSOR", "simulated", ["simulated", "webhook"]),
  setting(
    "WEBHOOK_URL",
    Option.none<URL>(),
    webhookUrl,
    (given) => (isWebhookUrl(given) ? Option.some(Option.some(new URL(given))) : Option.none()),
    notShown
  ),
  setting(
    "WEBHOOK_SECRET",
    Option.none<Webhook["secrets"]>(),
    webhookSecret,
    (given) =>
      Option.map(Option.filter(Option.all(given.split(/[\s,]+/).map(secretOf)), Arr.isNonEmptyArray), Option.some),
    notShown
  ),
  webhookIsComplete
]).pipe(
  Config.map(([kind, url, secrets]): "simulated" | Webhook =>
    kind === "webhook" && Option.isSome(url) && Option.isSome(secrets)
      ? { url: url.value, secrets: secrets.value }
      : "simulated"
  )
)

/** Where traces and metrics are sent, by OTLP. */
export interface Telemetry {
  readonly endpoint: URL
  readonly headers: Redacted.Redacted<Readonly<Record<string, string>>>
  readonly serviceName: string
  readonly resource: Readonly<Record<string, string>>
  /** The share of traces that are kept; of one that a client began, what it says decides, if `parentBased`. */
  readonly sampler: { readonly parentBased: boolean; readonly share: number }
  readonly sendsMetrics: boolean
}

/** `name=value,name=value`, the values percent-encoded, as OpenTelemetry writes lists. */
const pairs = (given: string, value: RegExp) =>
  Option.map(
    Option.all(
      given
        .split(",")
        .filter((pair) => pair.trim() !== "")
        .map((pair) => {
          const [, name, encoded] = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*=(.*)$/.exec(pair) ?? []
          if (name === undefined || encoded === undefined) return Option.none()
          const decoded = Option.liftThrowable(decodeURIComponent)(encoded.trim())
          return Option.map(
            Option.filter(decoded, (decoded) => value.test(decoded)),
            (decoded) => [name, decoded] as const
          )
        })
    ),
    (pairs): Readonly<Record<string, string>> => Object.fromEntries(pairs)
  )

const samplers = {
  always_on: { parentBased: false, share: () => 1 },
  always_off: { parentBased: false, share: () => 0 },
  traceidratio: { parentBased: false, share: (arg: number) => arg },
  parentbased_always_on: { parentBased: true, share: () => 1 },
  parentbased_always_off: { parentBased: true, share: () => 0 },
  parentbased_traceidratio: { parentBased: true, share: (arg: number) => arg }
}

/** OpenTelemetry's own variables. Off without an endpoint; an empty one is none. */
const telemetry = Config.all([
  setting(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    Option.none<URL>(),
    "an http or https URL without a password or a query, such as http://127.0.0.1:4318",
    (given) => {
      if (given === "") return Option.some(Option.none())
      const url = isWebhookUrl(given) ? new URL(given) : undefined
      return url?.search === "" ? Option.some(Option.some(url)) : Option.none()
    }
  ),
  setting(
    "OTEL_EXPORTER_OTLP_HEADERS",
    Redacted.make<Readonly<Record<string, string>>>({}),
    "headers such as api-key=secret,x-tenant=shop, their values percent-encoded",
    (given) => Option.map(pairs(given, /^[\t\x20-\x7e]*$/), Redacted.make),
    notShown
  ),
  oneOf("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", ["http/json"]),
  setting("OTEL_SERVICE_NAME", "", "a name", Option.some),
  setting(
    "OTEL_RESOURCE_ATTRIBUTES",
    {},
    "attributes such as deployment.environment=production,host.name=a, their values percent-encoded",
    (given) => pairs(given, /^/)
  ),
  oneOf("OTEL_TRACES_SAMPLER", "parentbased_always_on", Struct.keys(samplers)),
  share("OTEL_TRACES_SAMPLER_ARG", 1),
  oneOf("OTEL_METRICS_EXPORTER", "otlp", ["otlp", "none"])
]).pipe(
  Config.map(([endpoint, headers, _protocol, name, attributes, sampler, arg, metrics]) =>
    Option.map(endpoint, (endpoint): Telemetry => {
      const { "service.name": named, ...resource } = attributes
      const { parentBased, share } = samplers[sampler]
      return {
        endpoint,
        headers,
        resource,
        serviceName: name || named || "orders",
        sampler: { parentBased, share: share(arg) },
        sendsMetrics: metrics === "otlp"
      }
    })
  )
)

const logLevels = ["All", "Trace", "Debug", "Info", "Warning", "Error", "Fatal", "None"] as const

const settings = Config.all({
  port: wholeNumber("PORT", 3000, 0, 65535),
  host: setting(
    "HOST",
    "127.0.0.1",
    "an address or host name",
    Option.liftPredicate((given) => given !== "")
  ),
  databaseFile,
  workers: wholeNumber("WORKERS", 100, 1, 10_000),
  queueCapacity: wholeNumber("QUEUE_CAPACITY", 1000, 1, 1_000_000),
  maxPending: wholeNumber("MAX_PENDING", 100_000, 1, 1_000_000_000),
  processor,
  processingTime: duration("PROCESSING_TIME", "2 seconds", "0 millis", "1 hour"),
  processingJitter: share("PROCESSING_JITTER", 0.5),
  processingFailures: share("PROCESSING_FAILURES", 0),
  maxAttempts: wholeNumber("MAX_ATTEMPTS", 12, 1, 1000),
  retryBase: duration("RETRY_BASE", "1 second", "1 millis", "1 day"),
  retryMax: duration("RETRY_MAX", "5 minutes", "1 millis", "7 days"),
  attemptTimeout: duration("ATTEMPT_TIMEOUT", "30 seconds", "1 millis", "1 day"),
  retention: setting("RETENTION", Option.none<Duration.Duration>(), 'off, or a duration such as "30 days"', (given) =>
    given === "off"
      ? Option.some(Option.none())
      : Option.map(
          Option.filter(
            Duration.decodeUnknown(given),
            Duration.between({ minimum: Duration.seconds(1), maximum: Duration.days(36_500) })
          ),
          Option.some
        )
  ),
  shutdownGrace: duration("SHUTDOWN_GRACE", "25 seconds", "0 millis", "1 day"),
  logLevel: Config.map(oneOf("LOG_LEVEL", "Info", logLevels), LogLevel.fromLiteral),
  telemetry,
  logFormat: oneOf("LOG_FORMAT", process.stdout.isTTY === true ? "pretty" : "json", ["pretty", "json", "logfmt"])
})

const lines = (error: ConfigError.ConfigError): ReadonlyArray<string> =>
  error._op === "And" || error._op === "Or"
    ? [...lines(error.left), ...lines(error.right)]
    : error._op === "InvalidData"
      ? [error.message]
      : [String(error)]

/** The environment, and outside production a `.env` file too; the environment wins. */
export const EnvironmentLive =
  process.env.NODE_ENV === "production"
    ? Layer.empty
    : Layer.provide(PlatformConfigProvider.layerDotEnvAdd(".env"), NodeFileSystem.layer)

/** What is wrong with settings, one line for each mistake. */
export const settingsError = (error: ConfigError.ConfigError) => new StartupError({ lines: lines(error) })

/** Every setting, checked. The README lists them; nothing else in the service reads the environment. */
export class AppConfig extends Context.Tag("orders/AppConfig")<AppConfig, Config.Config.Success<typeof settings>>() {
  static readonly layer = Layer.effect(this, Effect.mapError(settings, settingsError)).pipe(
    Layer.provide(EnvironmentLive)
  )

  /** Plain values for tests: the defaults, with the given ones over them. */
  static readonly layerTest = (values: Partial<Config.Config.Success<typeof settings>>) =>
    Layer.effect(
      this,
      Effect.map(Effect.withConfigProvider(settings, ConfigProvider.fromMap(new Map())), (defaults) => ({
        ...defaults,
        ...values
      }))
    )
}
