/** How deep JSON may be nested, coming in and as a result: deeper than anyone needs, and safe for every later reader. */
export const maxDepth = 64

/** Each unknown field is worth an error message; thousands of them would hold up everything else. */
export const maxFields = 100

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

/** The JSON of a text, unchecked, or what is wrong with it. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    return new Malformed(`is not JSON: ${error instanceof Error ? error.message : error}`)
  }
}
