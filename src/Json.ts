import { Predicate } from "effect"

/** How deep JSON may be nested, coming in and as a result: deeper than anyone needs, and safe for every later reader. */
export const maxDepth = 64

/** Each unknown field is worth an error message; thousands of them would hold up everything else. */
const maxFields = 100

export const isDeeperThan = (value: unknown, limit: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  (limit === 0 || Object.values(value).some((inner) => isDeeperThan(inner, limit - 1)))

/** In place of the value of a text that is not JSON, or is refused as it is. `why` goes on from a subject. */
export class Malformed {
  readonly why: string
  constructor(why: string) {
    this.why = why
  }
}

/** Refuses what would cost too much to look at further. */
export const checked = (json: unknown): unknown => {
  if (isDeeperThan(json, maxDepth)) return new Malformed(`is nested deeper than ${maxDepth} levels`)
  if (Predicate.isRecord(json) && Object.keys(json).length > maxFields) {
    return new Malformed(`has more than ${maxFields} fields`)
  }
  return json
}

const byteOrderMark = "\ufeff"

/** The JSON of a text, unchecked, or what is wrong with it. A byte order mark, as some editors put first, is left out. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text.startsWith(byteOrderMark) ? text.slice(1) : text)
  } catch (error) {
    return new Malformed(`is not JSON: ${error instanceof Error ? error.message : error}`)
  }
}
