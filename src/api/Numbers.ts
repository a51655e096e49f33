import { Schema } from "effect"

/** A number as a text in plain decimal digits, such as `50`; no sign, exponent, other base or empty text. */
const plain = (pattern: RegExp) => Schema.String.pipe(Schema.pattern(pattern))

/** A whole number from `min` to `max` as a text. */
export const WholeNumber = (min: number, max: number) =>
  Schema.compose(plain(/^(0|[1-9]\d*)$/), Schema.NumberFromString).pipe(Schema.int(), Schema.between(min, max))

/** A number from `min` to `max` as a text, whole or with digits after a point. */
export const DecimalNumber = (min: number, max: number) =>
  Schema.compose(plain(/^(0|[1-9]\d*)(\.\d+)?$/), Schema.NumberFromString).pipe(Schema.between(min, max))
