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
  Redacted
} from "effect"
import { databaseServer, namesServer } from "./DatabaseServer.ts"
import { isLoopback } from "./Loopback.ts"
import { quoted } from "./Redaction.ts"
import { valueOrFile } from "./SecretFile.ts"
import { duration, mistake, names, notShown, oneOf, plainUrl, setting, share, wholeNumber } from "./Setting.ts"
import { StartupError } from "./StartupError.ts"
import { telemetry } from "./TelemetrySettings.ts"

const databaseFileForms =
  "file: and a path, such as file:./data/orders.db; ~ is not read as the home folder, so write that out"

const defaultDatabaseFile = Path.resolve("data/orders.db")

const parseDatabaseFile = (given: string) => {
  const match = /^file:(?:\/\/(?:localhost)?(?=\/))?([^?#]*[^?#/])$/.exec(given)
  const path = match?.[1]
  if (path === undefined || path.startsWith("//") || /^[:~]/.test(path)) return Option.none()
  return Option.map(Option.liftThrowable(decodeURIComponent)(path), (path) => Path.resolve(path))
}

/** `file:` with a path, relative to the working folder, or absolute. The forms of a file URL are understood too. */
export const databaseFile = setting("DATABASE_URL", defaultDatabaseFile, databaseFileForms, parseDatabaseFile)

/** The database: in the file, unless a server is named. */
const database = Config.all({
  databaseFile: setting(
    "DATABASE_URL",
    defaultDatabaseFile,
    `${databaseFileForms}; or postgres:// or mariadb:// and user@host:port/database`,
    (given) => (namesServer(given) ? Option.some(defaultDatabaseFile) : parseDatabaseFile(given))
  ),
  databaseServer
})

/** The shop's endpoint, and what requests to it are signed with: each secret makes a signature of its own. */
export interface Webhook {
  readonly url: URL
  /** In base64. */
  readonly secrets: Arr.NonEmptyReadonlyArray<Redacted.Redacted>
}

const webhookUrl = "an http or https URL without a password and without #, such as https://shop.example/fulfil"
const webhookSecret =
  "a secret of 24 to 64 bytes in base64, with or without whsec_ before it, or several with spaces or line ends between them"

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

/** Standard Webhooks, "Signature scheme". */
const secretOf = (given: string) => {
  const secret = given.replace(/^whsec_/, "")
  const bytes = base64.test(secret) ? Buffer.from(secret, "base64").length : 0
  return bytes >= 24 && bytes <= 64 ? Option.some(Redacted.make(secret)) : Option.none()
}

/** Several stand with spaces, commas or line ends between them. */
const webhookSecrets = valueOrFile("WEBHOOK_SECRET").pipe(
  Config.mapOrFail(
    Option.match({
      onNone: () => Either.right(Option.none<Webhook["secrets"]>()),
      onSome: ({ name, value }) =>
        Option.all(
          value
            .trim()
            .split(/[\s,]+/)
            .map(secretOf)
        ).pipe(
          Option.filter(Arr.isNonEmptyArray),
          Option.match({
            onNone: () => Either.left(mistake(name, notShown(), webhookSecret)),
            onSome: (secrets) => Either.right(Option.some(secrets))
          })
        )
    })
  )
)

/** Several mistakes as one error. */
const allOf = (mistakes: Arr.NonEmptyReadonlyArray<ConfigError.ConfigError>) =>
  mistakes.reduce((all, one) => ConfigError.And(all, one))

const isGiven = (name: string) => Config.map(Config.option(Config.string(name)), Option.isSome)

const needed = (name: string, what: string) =>
  ConfigError.InvalidData([name], `${name}: not given, PROCESSOR=webhook needs ${what}`)

/** Missing settings of the webhook are reported beside the mistakes in the others. */
const webhookIsComplete = Config.all([
  Config.withDefault(Config.string("PROCESSOR"), ""),
  isGiven("WEBHOOK_URL"),
  isGiven("WEBHOOK_SECRET"),
  Config.withDefault(Config.string("WEBHOOK_SECRET_FILE"), "")
]).pipe(
  Config.mapOrFail(([kind, hasUrl, hasSecret, file]): Either.Either<void, ConfigError.ConfigError> => {
    const missing = [
      ...(hasUrl ? [] : [needed("WEBHOOK_URL", webhookUrl)]),
      ...(hasSecret || file.trim() ? [] : [needed("WEBHOOK_SECRET", `${webhookSecret}; or WEBHOOK_SECRET_FILE`)])
    ]
    return kind.trim() === "webhook" && Arr.isNonEmptyArray(missing) ? Either.left(allOf(missing)) : Either.void
  })
)

/** What processes the orders. The settings of the webhook are looked at in any case, and needed only for it. */
const processor = Config.all([
  oneOf("PROCESSOR", "simulated", ["simulated", "webhook"]),
  setting("WEBHOOK_URL", Option.none<URL>(), webhookUrl, (given) => Option.map(plainUrl(given), Option.some), notShown),
  webhookSecrets,
  webhookIsComplete
]).pipe(
  Config.map(([kind, url, secrets]): "simulated" | Webhook =>
    kind === "webhook" && Option.isSome(url) && Option.isSome(secrets)
      ? { url: url.value, secrets: secrets.value }
      : "simulated"
  )
)

const hostName = (given: string) =>
  Option.liftPredicate(given.toLowerCase(), (name) => /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name))

/** As a browser writes it: scheme and host, and a port that is not the scheme's own. */
const origin = (given: string) =>
  Option.filterMap(plainUrl(given), (url) => (url.href === `${url.origin}/` ? Option.some(url.origin) : Option.none()))

const unprotected = (host: string) =>
  `HOST: given ${quoted(host)}, where others may reach it, without keys: name a file of keys in API_KEYS_FILE (orders keys new ` +
  "makes one), or set ALLOW_UNAUTHENTICATED=yes where a proxy in front of it authenticates"

/** Where it listens, and by which keys. Without keys it serves none but this machine, unless that is asked for. */
const exposure = Config.all({
  host: setting(
    "HOST",
    "127.0.0.1",
    "an address or host name",
    // An address of IPv6 as it stands in a URL.
    (given) => Option.liftPredicate(given.replace(/^\[(.*)\]$/, "$1"), (host) => host !== "")
  ),
  apiKeysFile: setting("API_KEYS_FILE", Option.none<string>(), "the path of a file of keys", (given) =>
    given === "" ? Option.none() : Option.some(Option.some(Path.resolve(given)))
  ),
  allowUnauthenticated: Config.map(oneOf("ALLOW_UNAUTHENTICATED", "no", ["yes", "no"]), (given) => given === "yes")
}).pipe(
  Config.map((given) => ({ ...given, isExposed: !isLoopback(given.host) })),
  Config.mapOrFail((given) =>
    given.isExposed && Option.isNone(given.apiKeysFile) && !given.allowUnauthenticated
      ? Either.left(ConfigError.InvalidData(["HOST"], unprotected(given.host)))
      : Either.right(given)
  )
)

/** For how long something is kept; none for ever, or not at all. */
const age = (name: string, fallback: Option.Option<Duration.Duration>) =>
  setting(name, fallback, 'off, or a duration such as "30 days"', (given) =>
    given === "off"
      ? Option.some(Option.none())
      : Option.map(
          Option.filter(
            Duration.decodeUnknown(given),
            Duration.between({ minimum: Duration.seconds(1), maximum: Duration.days(36_500) })
          ),
          Option.some
        )
  )

const logLevels = ["All", "Trace", "Debug", "Info", "Warning", "Error", "Fatal", "None"] as const

/** The longest that an engine may leave a job in a node's hands, with time to wait there. */
const longestAttempt = Duration.hours(12)

/** Where an engine hands out the orders, a node takes what its workers can begin soon, and none without workers. */
const handedOut = <T extends { queue: string; role: string; workers: number; queueCapacity: number }>(given: T): T => {
  if (given.queue === "memory") return given
  const workers = given.role === "api" ? 0 : given.workers
  return { ...given, workers, queueCapacity: 2 * workers }
}

/** What does not go together where several nodes work on the orders, or where one does. */
const mistakesOfNodes = (given: {
  readonly queue: "memory" | "pg-boss"
  readonly role: "all" | "api" | "worker"
  readonly databaseServer: Option.Option<{ readonly kind: string }>
  readonly history: Option.Option<Duration.Duration>
  readonly attemptTimeout: Duration.Duration
}) => {
  const mistakes: Array<ConfigError.ConfigError> = []
  const add = (name: string, what: string) => mistakes.push(ConfigError.InvalidData([name], `${name}: ${what}`))
  if (given.queue === "memory") {
    if (given.role !== "all") add("ROLE", `given "${given.role}", which needs QUEUE=pg-boss: a process alone does all`)
    return mistakes
  }
  if (!Option.exists(given.databaseServer, ({ kind }) => kind === "postgres")) {
    add("QUEUE", 'given "pg-boss", which needs a PostgreSQL server in DATABASE_URL')
  }
  if (Option.exists(given.history, Duration.lessThan(Duration.hours(1)))) {
    add("HISTORY", 'with QUEUE=pg-boss 1 hour at least, or "off": nodes hear of each other by the history')
  }
  if (Duration.greaterThan(given.attemptTimeout, longestAttempt)) {
    add("ATTEMPT_TIMEOUT", "with QUEUE=pg-boss 12 hours at most")
  }
  return mistakes
}

const settings = Config.all({
  port: wholeNumber("PORT", 3000, 0, 65535),
  exposure,
  allowedHosts: names("ALLOWED_HOSTS", "host names without ports, such as orders.example", hostName),
  allowedOrigins: names("ALLOWED_ORIGINS", "origins, such as https://orders.example", origin),
  database,
  queue: oneOf("QUEUE", "memory", ["memory", "pg-boss"]),
  role: oneOf("ROLE", "all", ["all", "api", "worker"]),
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
  retention: age("RETENTION", Option.none()),
  history: age("HISTORY", Option.some(Duration.days(30))),
  shutdownGrace: duration("SHUTDOWN_GRACE", "25 seconds", "0 millis", "1 day"),
  logLevel: Config.map(oneOf("LOG_LEVEL", "Info", logLevels), LogLevel.fromLiteral),
  telemetry,
  logFormat: oneOf("LOG_FORMAT", process.stdout.isTTY === true ? "pretty" : "json", ["pretty", "json", "logfmt"])
}).pipe(
  Config.map(({ database, exposure, ...others }) => ({ ...others, ...database, ...exposure })),
  Config.mapOrFail((given) =>
    Arr.match(mistakesOfNodes(given), {
      onEmpty: () => Either.right(handedOut(given)),
      onNonEmpty: (mistakes) => Either.left(allOf(mistakes))
    })
  )
)

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

/** Whether it runs for a developer, as by `npm run dev`. */
export const isDevelopment = process.env.NODE_ENV === "development"

/** Whether Node takes any certificate for that of the host it connects to. Node reads this itself, and not from `.env`. */
export const acceptsAnyCertificate = () => process.env.NODE_TLS_REJECT_UNAUTHORIZED === "0"

/** What is wrong with settings, one line for each mistake. */
export const settingsError = (error: ConfigError.ConfigError) => new StartupError({ lines: lines(error) })

/** Every setting, checked. docs/operating.md lists them; nothing else in the service reads the environment. */
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
