import { Array as Arr, DateTime, Either, Option } from "effect"
import { type Scope, scopes } from "../api/Scope.ts"

/** How many requests a key may make, and orders submit, in a window of time. */
export interface Rate {
  readonly quota: number
  readonly windowSeconds: number
}

/** A key as the file of keys has it. */
export interface KeyLine {
  readonly name: string
  readonly scopes: ReadonlyArray<Scope>
  /** SHA-256 of the key, in small hexadecimal digits. */
  readonly hash: string
  readonly rate: Option.Option<Rate>
  /** The moment from which on it is refused. */
  readonly expiresAt: Option.Option<DateTime.Utc>
}

const units: Record<string, number> = { s: 1, min: 60, h: 3600 }

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** A key in the place of its name must not get into logs and traces. */
export const isKeyName = (text: string) => namePattern.test(text) && !text.startsWith("ord_")
export const keyNameRule =
  "1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit, and no key"

const isScope = (text: string): text is Scope => scopes.some((scope) => scope === text)

/** Scopes with commas between them, each once. */
export const parseScopes = (text: string): Option.Option<ReadonlyArray<Scope>> =>
  Option.map(Option.liftPredicate(text.split(","), Arr.every(isScope)), (given) => Arr.dedupe(given))
export const scopesRule = `${scopes.join(", ")}, with commas and no spaces between several`

/** `100/s`, `6000/min` or `100000/h`. */
export const parseRate = (text: string): Option.Option<Rate> => {
  const [, quota, unit = ""] = /^([1-9]\d{0,8})\/(s|min|h)$/.exec(text) ?? []
  const windowSeconds = units[unit]
  return quota === undefined || windowSeconds === undefined
    ? Option.none()
    : Option.some({ quota: Number(quota), windowSeconds })
}
export const rateRule = "a number for each second, minute or hour, such as 100/s, 6000/min or 100000/h"

/** A day, from whose beginning on in UTC the key is refused, or a moment with its offset (RFC 3339). */
export const parseExpiry = (text: string): Option.Option<DateTime.Utc> => {
  const [, day = ""] = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/.exec(text) ?? []
  // `Date` makes 2 March of 30 February.
  const isReal = Option.exists(DateTime.make(`${day}T00:00:00Z`), (at) => DateTime.formatIsoDateUtc(at) === day)
  return isReal ? Option.map(DateTime.make(text), DateTime.toUtc) : Option.none()
}
export const expiryRule = "a day such as 2027-01-31, from whose beginning in UTC it is refused, or a time by RFC 3339"

/** One line of the file of keys: `name scopes sha256:HEX [rate=100/s] [expires=DATE]`, or what is wrong with it. */
export const parseKeyLine = (line: string): Either.Either<KeyLine, string> => {
  const [name = "", scopeList = "", hashed = "", ...options] = line.trim().split(/\s+/)
  const scopes = parseScopes(scopeList)
  const [, hash] = /^sha256:([0-9a-f]{64})$/i.exec(hashed) ?? []
  if (!isKeyName(name)) return Either.left(`its name is not allowed, which is ${keyNameRule}`)
  if (Option.isNone(scopes)) return Either.left(`the scopes of ${name} are not ${scopesRule}`)
  // A key that was put there by mistake must not be shown.
  if (hash === undefined)
    return Either.left(`after the scopes of ${name} there is no sha256: and 64 hexadecimal digits`)
  let rate: KeyLine["rate"] = Option.none()
  let expiresAt: KeyLine["expiresAt"] = Option.none()
  for (const given of options) {
    const [, label, value = ""] = /^(rate|expires)=(.*)$/.exec(given) ?? []
    if (label === "rate" && Option.isNone(rate)) {
      rate = parseRate(value)
      if (Option.isNone(rate)) return Either.left(`the rate of ${name} is not ${rateRule}`)
    } else if (label === "expires" && Option.isNone(expiresAt)) {
      expiresAt = parseExpiry(value)
      if (Option.isNone(expiresAt)) return Either.left(`expires of ${name} is not ${expiryRule}`)
    } else return Either.left(`${name} has more than rate= and expires=, each once`)
  }
  return Either.right({ name, scopes: scopes.value, hash: hash.toLowerCase(), rate, expiresAt })
}

/** The line of a key, with `rate=` and `expires=` as given. */
export const formatKeyLine = (
  { hash, name, scopes }: Pick<KeyLine, "hash" | "name" | "scopes">,
  options: ReadonlyArray<string>
) => [name, scopes.join(","), `sha256:${hash}`, ...options].join(" ")
