import { Config, ConfigError, Either, Option } from "effect"
import { escaped } from "./Redaction.ts"
import { readRegularFile, reasonOf } from "./RegularFile.ts"

/** Whatever is longer is no secret, but a wrong path. */
const most = 64 * 1024

/** A path that begins like one. Anything else may be the secret itself, given in the wrong place. */
const shownPath = (path: string) => (/^(\/|\.{1,2}\/|~)/.test(path) ? escaped(path) : "(not shown)")

/** A secret, and the variable it came by. */
export interface Given {
  readonly name: string
  readonly value: string
}

const mistake = (name: string, what: string) => Either.left(ConfigError.InvalidData([name], `${name}: ${what}`))

/** As {@link valueOrFile}, but a mistake is a value, for a secret that means nothing without other settings. */
export const tryValueOrFile = (
  name: string
): Config.Config<Either.Either<Option.Option<Given>, ConfigError.ConfigError>> => {
  const fileName = `${name}_FILE`
  return Config.all([Config.option(Config.string(name)), Config.withDefault(Config.string(fileName), "")]).pipe(
    Config.map(([value, file]) => {
      const path = file.trim()
      if (path === "") return Either.right(Option.map(value, (value) => ({ name, value })))
      if (Option.exists(value, (value) => value.trim() !== "")) {
        return mistake(fileName, `given beside ${name}, allowed is one of them`)
      }
      return Either.try(() => readRegularFile(path, most).text).pipe(
        Either.map((content) => Option.some({ name: fileName, value: content.replace(/[\r\n]+$/, "") })),
        Either.orElse((cause) => mistake(fileName, `${shownPath(path)} cannot be read: ${reasonOf(cause)}`))
      )
    })
  )
}

/**
 * A secret: the value of a variable, or what is in the file that the variable with `_FILE` at its end names, as Docker
 * and Kubernetes mount it. The file has 64 KiB at most, and is read once, without the line end at its end. Naming both is
 * a mistake; an empty variable counts as one that is not given where the other is.
 */
export const valueOrFile = (name: string) => Config.mapOrFail(tryValueOrFile(name), (given) => given)
