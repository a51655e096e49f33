import * as Model from "@effect/sql/Model"
import { Predicate, Schema } from "effect"

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/
const canonicalInteger = /^[1-9][0-9]{0,15}$/

const idRules =
  "expected a positive whole number up to 9007199254740991, or a string of 1 to 64 letters, digits and . _ : - " +
  "that starts with a letter or a digit (send a larger number as a string)"

/** An id as text, the one form the service keeps: `101` and `"101"` are the same id. */
const Id = <const B extends string>(brand: B) =>
  Schema.String.pipe(Schema.pattern(idPattern, { message: () => idRules }), Schema.brand(brand))

/** The text of an id as JSON brings it. A value that is not an id must not become one as text, so it becomes "". */
export const idText = (json: unknown): string =>
  typeof json === "string"
    ? json
    : typeof json === "number" && Number.isSafeInteger(json) && json > 0
      ? String(json)
      : ""

const isIdOf =
  <Id extends string>() =>
  (text: string): text is Id =>
    idPattern.test(text)
export const isOrderId = isIdOf<OrderId>()
export const isUserId = isIdOf<UserId>()
export const isItemId = isIdOf<ItemId>()

/** An id as it stands in JSON: a canonical safe integer goes out as a number, anything else as a string. */
export const idInJson = (id: string): number | string =>
  canonicalInteger.test(id) && Number.isSafeInteger(Number(id)) ? Number(id) : id

const idJsonSchema = {
  anyOf: [
    { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    { type: "string", pattern: idPattern.source }
  ]
}

const idJson = <const B extends string>(brand: B) =>
  Schema.transform(Schema.Union(Schema.Number, Schema.String).annotations({ jsonSchema: idJsonSchema }), Id(brand), {
    strict: true,
    decode: idText,
    encode: idInJson
  }).annotations({ identifier: brand, message: () => ({ message: idRules, override: true }) })

export const OrderId = Id("OrderId")
export type OrderId = typeof OrderId.Type
export const OrderIdJson = idJson("OrderId")
export const UserId = Id("UserId")
export type UserId = typeof UserId.Type
export const UserIdJson = idJson("UserId")
const ItemIdJson = idJson("ItemId")
type ItemId = typeof ItemIdJson.Type

const decimal = /^(0|[1-9][0-9]{0,10})(?:\.([0-9]{1,4}))?$/
const moneyRules =
  "expected 0 to 99999999999.9999 with at most 4 digits after the point, as a number or a decimal string"

/** Ten-thousandths of an amount as JSON brings it; -1 if it is none. */
export const unitsOf = (amount: unknown): number => {
  const match = typeof amount === "number" || typeof amount === "string" ? decimal.exec(String(amount)) : null
  return match === null ? -1 : Number(match[1]) * 10_000 + Number((match[2] ?? "").padEnd(4, "0"))
}

const maxMoney = 999_999_999_999_999
const MoneyUnits = Schema.Int.pipe(Schema.between(0, maxMoney), Schema.brand("Money"))
export const isMoney = (units: number): units is Money => Number.isInteger(units) && units >= 0 && units <= maxMoney

/**
 * An amount of money, exact: a whole number of ten-thousandths, always a safe integer. In JSON it is a number or a
 * decimal string (`250.7` and `"250.70"` are equal) and goes out as a number. A JSON number is judged as JavaScript's
 * `JSON.parse` reads it, so an amount that needs more than 15 digits is best sent as a string.
 */
export const Money = Schema.transform(
  Schema.Union(
    Schema.Number.annotations({
      jsonSchema: { type: "number", minimum: 0, maximum: 99999999999.9999 }
    }),
    Schema.String.annotations({ jsonSchema: { type: "string", pattern: decimal.source } })
  ),
  MoneyUnits,
  {
    strict: true,
    decode: unitsOf,
    encode: (units) => units / 10_000
  }
).annotations({ identifier: "Money", message: () => ({ message: moneyRules, override: true }) })
export type Money = typeof Money.Type

const currencyPattern = /^[A-Z]{3}$/
export const isCurrency = (json: unknown): json is string => typeof json === "string" && currencyPattern.test(json)

const Currency = Schema.String.pipe(
  Schema.pattern(currencyPattern, {
    message: () => "expected an ISO 4217 code of three capital letters, such as EUR"
  })
).annotations({ identifier: "Currency" })

const utf8 = new TextEncoder()

/** Whole numbers beyond 2^53 have already been rounded, and 1e400 has become Infinity, when `JSON.parse` returns. */
const keepsItsNumbers = (value: unknown): boolean =>
  typeof value === "number"
    ? Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
    : typeof value !== "object" || value === null || Object.values(value).every(keepsItsNumbers)

const isSmall = (metadata: object) => utf8.encode(JSON.stringify(metadata)).length <= 8192

export const isMetadata = (json: unknown): json is { readonly [key: string]: unknown } =>
  Predicate.isRecord(json) && isSmall(json) && keepsItsNumbers(json)

/** Any JSON object up to 8 KiB, handed on as it came: no key is dropped, renamed or interpreted, not even `__proto__`. */
const Metadata = Schema.declare((input): input is { readonly [key: string]: unknown } => Predicate.isRecord(input), {
  message: () => "expected a JSON object"
})
  .pipe(
    Schema.filter((metadata) => isSmall(metadata) || "expected at most 8 KiB of JSON"),
    Schema.filter(
      (metadata) =>
        keepsItsNumbers(metadata) ||
        "expected only numbers that JavaScript keeps exactly (send whole numbers beyond 9007199254740991 as strings)"
    )
  )
  .annotations({
    identifier: "Metadata",
    jsonSchema: { type: "object", additionalProperties: true, description: "Any JSON object, 8 KiB at most" }
  })

export const maxItems = 1000
const itemRules = `expected an array of 1 to ${maxItems} item ids`

/** The length is looked at first: explaining each of thirty thousand bad items would hold up everything else. */
const ItemIds = Schema.compose(
  Schema.Array(Schema.Unknown)
    .annotations({ message: () => itemRules })
    .pipe(Schema.filter((items) => (items.length >= 1 && items.length <= maxItems) || itemRules)),
  Schema.Array(ItemIdJson)
).annotations({ jsonSchema: { type: "array", minItems: 1, maxItems, items: idJsonSchema } })

export const Status = Schema.Literal("Pending", "Processing", "Completed", "Failed", "Cancelled").annotations({
  identifier: "Status",
  message: () => ({ message: "expected Pending, Processing, Completed, Failed or Cancelled", override: true })
})
export type Status = typeof Status.Type

/**
 * Every legal change of status, and the reason that the history gives for it; the repository knows no other.
 *
 *     accept --> Pending --- claim ---> Processing --- complete --> Completed
 *                ^  | ^                    | | |
 *                |  | +- postpone, release + | +------ fail ------> Failed --+
 *                |  |    and lose            |                               |
 *                |  +--------- cancel -------+--------------> Cancelled --+  |
 *                |                                                        |  |
 *                +------------------------ reopen ------------------------+--+
 */
export const transitions = {
  accept: { from: [], to: "Pending", reason: "accepted" },
  claim: { from: ["Pending"], to: "Processing", reason: "claimed" },
  complete: { from: ["Processing"], to: "Completed", reason: "completed" },
  fail: { from: ["Processing"], to: "Failed", reason: "failed" },
  postpone: { from: ["Processing"], to: "Pending", reason: "retry_scheduled" },
  release: { from: ["Processing"], to: "Pending", reason: "put_back" },
  lose: { from: ["Processing"], to: "Pending", reason: "lost" },
  cancel: { from: ["Pending", "Processing"], to: "Cancelled", reason: "cancelled" },
  reopen: { from: ["Failed", "Cancelled"], to: "Pending", reason: "retried" }
} as const satisfies Record<
  string,
  { readonly from: ReadonlyArray<Status>; readonly to: Status; readonly reason: string }
>

/** Final until someone asks for the order again. */
export const isFinal = (status: Status): boolean =>
  status === "Completed" || status === "Failed" || status === "Cancelled"

export const JsonTime = Schema.DateTimeUtc.annotations({
  identifier: "Time",
  jsonSchema: { type: "string", format: "date-time", description: "RFC 3339, UTC, in milliseconds" }
})

/** The most characters that the code of an error has. */
export const maxErrorCode = 128

/** Why the last attempt failed. `code` is for machines, `message` for people. */
export const LastError = Schema.Struct({
  code: Schema.String,
  message: Schema.String,
  attempt: Schema.Int,
  at: JsonTime
}).annotations({ identifier: "LastError" })

/** What the processor made of the order: whatever JSON it answered with. */
const ProcessorResult = Schema.Unknown.annotations({ identifier: "Result", jsonSchema: { description: "Any JSON" } })

const json = <A, I>(schema: Schema.Schema<A, I>) => Schema.parseJson(schema)
const Text = <const B extends string>(brand: B) => Schema.String.pipe(Schema.brand(brand))

const rowAndJson = <Row extends Schema.Schema.All, Json extends Schema.Schema.All>(row: Row, json: Json) =>
  Model.Field({ select: row, json })

const StoredTime = rowAndJson(Schema.DateTimeUtcFromNumber, JsonTime)
const StoredOptionalTime = rowAndJson(
  Schema.OptionFromNullOr(Schema.DateTimeUtcFromNumber),
  Schema.OptionFromNullOr(JsonTime)
)

/** What the shop sends, three ways: as a row keeps it, as JSON shows it, and as a new order brings it. */
const sent = <Row extends Schema.Schema.All, Json extends Schema.Schema.All>(row: Row, json: Json) =>
  Model.Field({ select: row, json, jsonCreate: json })

const sentOptional = <A, I, J>(row: Schema.Schema<A, I>, json: Schema.Schema<A, J>) =>
  Model.Field({
    select: Schema.OptionFromNullOr(row),
    json: Schema.OptionFromNullOr(json),
    jsonCreate: Schema.optionalWith(json, { as: "Option", nullable: true })
  })

/**
 * An order. One declaration is the row (`Order`), the answer (`Order.json`) and the request
 * (`Order.jsonCreate`, which is {@link NewOrder}). `attempts` counts the runs that count against `MAX_ATTEMPTS`.
 */
export class Order extends Model.Class<Order>("Order")(
  {
    order_id: sent(Text("OrderId"), OrderIdJson),
    status: rowAndJson(Status, Status),
    user_id: sent(Text("UserId"), UserIdJson),
    item_ids: sent(json(Schema.Array(Text("ItemId"))), ItemIds),
    total_amount: sent(MoneyUnits, Money),
    currency: sentOptional(Schema.String, Currency),
    metadata: sentOptional(json(Schema.typeSchema(Metadata)), Metadata),
    attempts: rowAndJson(Schema.Int, Schema.Int),
    accepted_at: StoredTime,
    started_at: StoredOptionalTime,
    finished_at: StoredOptionalTime,
    next_attempt_at: StoredOptionalTime,
    last_error: rowAndJson(Schema.OptionFromNullOr(json(LastError)), Schema.OptionFromNullOr(LastError)),
    result: rowAndJson(Schema.OptionFromNullOr(json(Schema.Unknown)), Schema.OptionFromNullOr(ProcessorResult))
  },
  { identifier: "Order" }
) {}

/** An order as submitted. Decoding names every fault at once and refuses fields it does not know. */
export const NewOrder = Order.jsonCreate.annotations({
  identifier: "NewOrder",
  message: () => "expected a JSON object",
  parseOptions: { errors: "all", onExcessProperty: "error" }
})
export type NewOrder = typeof NewOrder.Type

/** No order has this id. */
export class OrderNotFound extends Schema.TaggedError<OrderNotFound>()("OrderNotFound", {}) {}

/** The id is taken by an order of other content; `fields` names what differs. Nothing was stored. */
export class OrderConflict extends Schema.TaggedError<OrderConflict>()("OrderConflict", {
  order_id: OrderIdJson,
  fields: Schema.Array(Schema.String)
}) {}

export const RetryAfter = Schema.Int.annotations({ description: "Seconds to wait" })

/** The order was final so long ago that only this is left of it. */
export class OrderGone extends Schema.TaggedError<OrderGone>()("OrderGone", {
  order_id: OrderIdJson,
  order_status: Status,
  finished_at: JsonTime
}) {}

/** The order is in a state from which this cannot be done. Nothing changed. */
export class OrderStatusConflict extends Schema.TaggedError<OrderStatusConflict>()("OrderStatusConflict", {
  order_id: OrderIdJson,
  order_status: Status,
  possible: Schema.Array(Status)
}) {}

/** As many orders wait as may wait (`MAX_PENDING`). Nothing was stored. */
export class BacklogFull extends Schema.TaggedError<BacklogFull>()("BacklogFull", { retry_after: RetryAfter }) {}

/** The database failed or did not answer in time. What was to be written may or may not have been. */
export class StorageUnavailable extends Schema.TaggedError<StorageUnavailable>()("StorageUnavailable", {
  retry_after: Schema.optionalWith(RetryAfter, { default: () => 5 })
}) {}
