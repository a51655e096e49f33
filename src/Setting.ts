import { Config, ConfigError, Duration, Either, Option } from "effect"
import { quoted } from "./Redaction.ts"

export const mistake = (name: string, given: string, allowed: string) =>
  ConfigError.InvalidData([name], `${name}: given ${given}, allowed is ${allowed}`)

/** What may be a secret, or have one in it. */
export const notShown = () => "(not shown)"

export const setting = <A>(
  name: string,
  fallback: A,
  allowed: string,
  parse: (given: string) => Option.Option<A>,
  shown: (given: string) => string = quoted
): Config.Config<A> =>
  Config.string(name).pipe(
    Config.mapOrFail((given) => Either.fromOption(parse(given.trim()), () => mistake(name, shown(given), allowed))),
    Config.withDefault(fallback)
  )

export const wholeNumber = (name: string, fallback: number, min: number, max: number) =>
  setting(name, fallback, `a whole number from ${min} to ${max}`, (given) => {
    const value = Number(given)
    return /^\d+$/.test(given) && value >= min && value <= max ? Option.some(value) : Option.none()
  })

export const shareRules = "a number from 0 to 1"
export const parseShare = (given: string) => {
  const value = Number(given)
  return /^\d*\.?\d+$/.test(given) && value <= 1 ? Option.some(value) : Option.none()
}
export const share = (name: string, fallback: number) => setting(name, fallback, shareRules, parseShare)

export const duration = (
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

export const oneOf = <const A extends string>(name: string, fallback: A, values: ReadonlyArray<A>) =>
  setting(name, fallback, values.join(", "), (given) => Option.fromNullable(values.find((value) => value === given)))

/** Any number of values, with commas or spaces between them. */
export const names = (name: string, allowed: string, parse: (given: string) => Option.Option<string>) =>
  setting(name, new Set<string>() as ReadonlySet<string>, `${allowed}, with commas between several`, (given) =>
    Option.map(
      Option.all(
        given
          .split(/[\s,]+/)
          .filter((name) => name !== "")
          .map(parse)
      ),
      (names) => new Set(names)
    )
  )

/** An http or https URL that has neither a password nor a fragment. */
export const plainUrl = (given: string): Option.Option<URL> =>
  Option.filter(
    Option.liftThrowable(() => new URL(given))(),
    (url) => /^https?:$/.test(url.protocol) && url.username === "" && url.password === "" && url.hash === ""
  )
