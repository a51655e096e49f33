/** What a URL begins with that is shown whatever follows it. `user://password@host` begins like one, too. */
const scheme =
  /^\s*(?:https?|ftp|wss?|grpc|file|sqlite|postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|redis):(?:\/\/)?/i

const hidden = "***"

/** Hides what follows the colon of a host and is no port: a password whose @ is missing, or is written as %40. */
const withoutPort = (given: string) => given.replace(/^(\/*[^/\\:[\]]+:)(?!\d*(?:[/\\]|$))[^/\\]*/, `$1${hidden}`)

/**
 * A text that may be a URL, or was meant to be one, without its user, password, query and fragment. An @ in a query looks
 * like the end of a password with a ? in it: then nothing but the scheme is left.
 */
export const redacted = (given: string): string => {
  const [begin = ""] = scheme.exec(given) ?? []
  const rest = given.slice(begin.length)
  const at = rest.lastIndexOf("@")
  const query = rest.search(/[?#]/)
  if (at === -1) {
    const address = query === -1 ? rest : rest.slice(0, query)
    const shown = begin === "" ? address : withoutPort(address)
    return begin + shown + (query === -1 ? "" : `${rest[query]}${hidden}`)
  }
  if (query !== -1 && query < at) return begin + hidden
  return `${begin}${hidden}${query === -1 ? rest.slice(at) : `${rest.slice(at, query)}${rest[query]}${hidden}`}`
}

/** A text from outside with escapes for all that could steer a terminal or look like another line. */
export const inLine = (given: string): string =>
  given.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)

/** The same in double quotes, as JSON has it where JSON can. */
export const escaped = (given: string): string => inLine(JSON.stringify(given))

/** In quotes, and without what a URL may have for a secret. */
export const quoted = (given: string): string => escaped(redacted(given))
