import { Array as Arr, Config, ConfigError, Either, Option, Redacted, Struct } from "effect"
import { quoted } from "./Redaction.ts"
import { tryValueOrFile } from "./SecretFile.ts"
import { mistake, notShown, parseShare, plainUrl, shareRules } from "./Setting.ts"

/** Where traces and metrics are sent, by OTLP. */
export interface Telemetry {
  readonly endpoint: URL
  readonly protocol: "http/json" | "http/protobuf"
  readonly headers: Redacted.Redacted<Readonly<Record<string, string>>>
  readonly serviceName: string
  readonly resource: Readonly<Record<string, string>>
  /** The share of traces that are kept; of one that a client began, what it says decides, if `parentBased`. */
  readonly sampler: { readonly parentBased: boolean; readonly share: number }
  readonly sendsTraces: boolean
  readonly sendsMetrics: boolean
}

/** A variable, or its mistake, which is not reported where the variable means nothing. Empty is not given. */
const variable = <A>(
  name: string,
  fallback: A,
  allowed: string,
  parse: (given: string) => Option.Option<A>,
  shown: (given: string) => string = quoted
): Config.Config<Either.Either<A, ConfigError.ConfigError>> =>
  Config.string(name).pipe(
    Config.withDefault(""),
    Config.map((given) =>
      given.trim() === ""
        ? Either.right(fallback)
        : Either.fromOption(parse(given.trim()), () => mistake(name, shown(given), allowed))
    )
  )

const oneOf = <const A extends string>(name: string, fallback: A, values: ReadonlyArray<A>) =>
  variable(name, fallback, values.join(", "), (given) =>
    Option.fromNullable(values.find((value) => value === given.toLowerCase()))
  )

/** Whether `otlp` is among the exporters. What others there are does not matter to us. */
const exportsOtlp = (name: string, others: ReadonlyArray<string>) =>
  variable(name, true, ["otlp", ...others].join(", "), (given) => {
    const exporters = given
      .toLowerCase()
      .split(",")
      .map((name) => name.trim())
    return Option.map(
      Option.liftPredicate(
        exporters,
        Arr.every((exporter) => exporter === "otlp" || others.includes(exporter))
      ),
      Arr.contains("otlp")
    )
  })

/** `name=value,name=value`, the values percent-encoded, as OpenTelemetry writes lists; a line each in a file. */
const pairs = (given: string, value: RegExp) =>
  Option.map(
    Option.all(
      given
        .split(/[,\r\n]/)
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

const headers = Config.map(
  tryValueOrFile("OTEL_EXPORTER_OTLP_HEADERS"),
  Either.flatMap((given) => {
    const { name, value } = Option.getOrElse(given, () => ({ name: "", value: "" }))
    return Either.fromOption(Option.map(pairs(value, /^[\t\x20-\x7e]*$/), Redacted.make), () =>
      mistake(name, notShown(), "headers such as api-key=secret,x-tenant=shop, their values percent-encoded")
    )
  })
)

const variables = {
  endpoint: variable(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    Option.none<URL>(),
    "an http or https URL without a password or a query, such as http://127.0.0.1:4318",
    (given) =>
      Option.map(
        Option.filter(plainUrl(given), ({ search }) => search === ""),
        Option.some
      )
  ),
  protocol: oneOf("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", ["http/json", "http/protobuf"]),
  headers,
  name: variable("OTEL_SERVICE_NAME", "", "a name", Option.some),
  attributes: variable(
    "OTEL_RESOURCE_ATTRIBUTES",
    {},
    "attributes such as deployment.environment=production,host.name=a, their values percent-encoded",
    (given) => pairs(given, /^/)
  ),
  sampler: oneOf("OTEL_TRACES_SAMPLER", "parentbased_always_on", Struct.keys(samplers)),
  arg: variable("OTEL_TRACES_SAMPLER_ARG", 1, shareRules, parseShare),
  sendsTraces: exportsOtlp("OTEL_TRACES_EXPORTER", ["none"]),
  // What Prometheus reads is always at /metrics.
  sendsMetrics: exportsOtlp("OTEL_METRICS_EXPORTER", ["prometheus", "none"])
}

/** OpenTelemetry's own variables. They mean nothing without an endpoint, and when telemetry is switched off. */
export const telemetry = Config.all({
  isOff: Config.map(Config.withDefault(Config.string("OTEL_SDK_DISABLED"), ""), (given) => /^\s*true\s*$/i.test(given)),
  ...variables
}).pipe(
  Config.mapOrFail(({ isOff, ...given }): Either.Either<Option.Option<Telemetry>, ConfigError.ConfigError> => {
    const { endpoint } = given
    if (isOff || (Either.isRight(endpoint) && Option.isNone(endpoint.right))) return Either.right(Option.none())
    const mistakes = Arr.getLefts(Object.values(given))
    if (Arr.isNonEmptyArray(mistakes)) return Either.left(mistakes.reduce((all, one) => ConfigError.And(all, one)))
    return Either.map(
      Either.all(given),
      ({ arg, attributes, endpoint, headers, name, protocol, sampler, sendsMetrics, sendsTraces }) =>
        Option.map(endpoint, (endpoint) => {
          const { "service.name": named, ...resource } = attributes
          const { parentBased, share } = samplers[sampler]
          return {
            endpoint,
            protocol,
            headers,
            resource,
            serviceName: name || named || "orders",
            sampler: { parentBased, share: share(arg) },
            sendsMetrics,
            sendsTraces
          }
        })
    )
  })
)
