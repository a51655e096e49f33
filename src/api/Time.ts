import { DateTime, Option, ParseResult, Schema } from "effect"

const form = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))?$/

/**
 * The time that a text names: a date, which means its beginning in UTC, or a time with its offset, by RFC 3339. None if
 * it has another form or there is no such day or time. Parts of a millisecond are rounded up, so that "from" and
 * "before" take and leave the same milliseconds as the exact time would.
 */
export const parseTime = (text: string): Option.Option<DateTime.Utc> => {
  const [, date, clock = "00:00:00", fraction = ".", offset = "Z"] = form.exec(text) ?? []
  if (date === undefined) return Option.none()
  const seconds = new Date(`${date}T${clock}Z`)
  // What there is not, such as 30 February, is read as another time or none.
  if (Number.isNaN(seconds.getTime()) || seconds.toISOString() !== `${date}T${clock}.000Z`) return Option.none()
  const digits = fraction.slice(1).padEnd(3, "0")
  const millis = Number(digits.slice(0, 3)) + (/[1-9]/.test(digits.slice(3)) ? 1 : 0)
  const [hours = 0, minutes = 0] = offset === "Z" ? [] : offset.slice(1).split(":").map(Number)
  const ahead = (offset.startsWith("-") ? -1 : 1) * (hours * 60 + minutes) * 60_000
  return DateTime.make(seconds.getTime() + millis - ahead)
}

export const timeRules =
  "expected a date such as 2026-01-31, or a time with its offset such as 2026-01-31T12:00:00Z or " +
  "2026-01-31T13:00:00+01:00, as there is in the calendar"

/** A point in time as people and programs give it, see {@link parseTime}. */
export const Time = Schema.transformOrFail(Schema.String, Schema.DateTimeUtcFromSelf, {
  strict: true,
  decode: (text, _, ast) =>
    Option.match(parseTime(text), {
      onNone: () => ParseResult.fail(new ParseResult.Type(ast, text, timeRules)),
      onSome: ParseResult.succeed
    }),
  encode: (time) => ParseResult.succeed(DateTime.formatIso(time))
}).annotations({
  message: () => ({ message: timeRules, override: true }),
  jsonSchema: {
    type: "string",
    description: "A time by RFC 3339, or a date, which means its beginning in UTC. In an address + is written %2B"
  }
})
