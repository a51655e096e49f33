import * as Path from "node:path"
import * as PlatformConfigProvider from "@effect/platform/PlatformConfigProvider"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Config, ConfigError, ConfigProvider, Context, Duration, Effect, Either, Layer, LogLevel, Option } from "effect"
import { StartupError } from "./StartupError.ts"

const withoutPassword = (given: string) => given.replace(/:\/\/([^/:@]*):[^/@]*@/, "://$1:***@")

const setting = <A>(
  name: string,
  fallback: A,
  allowed: string,
  parse: (given: string) => Option.Option<A>
): Config.Config<A> =>
  Config.string(name).pipe(
    Config.mapOrFail((given) =>
      Either.fromOption(parse(given.trim()), () =>
        ConfigError.InvalidData(
          [name],
          `${name}: given ${JSON.stringify(withoutPassword(given))}, allowed is ${allowed}`
        )
      )
    ),
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
const databaseFile = setting(
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
  processor: oneOf("PROCESSOR", "simulated", ["simulated"]),
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
  logFormat: oneOf("LOG_FORMAT", process.stdout.isTTY === true ? "pretty" : "json", ["pretty", "json", "logfmt"])
})

const lines = (error: ConfigError.ConfigError): ReadonlyArray<string> =>
  error._op === "And" || error._op === "Or"
    ? [...lines(error.left), ...lines(error.right)]
    : error._op === "InvalidData"
      ? [error.message]
      : [String(error)]

/** Every setting, checked. The README lists them; nothing else reads the environment. */
export class AppConfig extends Context.Tag("orders/AppConfig")<AppConfig, Config.Config.Success<typeof settings>>() {
  /** From the environment, and outside production from a `.env` file too; the environment wins. */
  static readonly layer = Layer.effect(
    this,
    Effect.mapError(settings, (error) => new StartupError({ lines: lines(error) }))
  ).pipe(
    Layer.provide(
      process.env.NODE_ENV === "production"
        ? Layer.empty
        : Layer.provide(PlatformConfigProvider.layerDotEnvAdd(".env"), NodeFileSystem.layer)
    )
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
