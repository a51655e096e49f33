import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import { Effect, Option, ParseResult, Schema, Stream } from "effect"
import { type BulkAnswer, OrderReceived } from "../api/Answers.ts"
import { faults } from "../api/InvalidRequest.ts"
import { NewOrder, OrderIdJson } from "../order/Order.ts"
import { clientOf, type Service, service } from "./Connection.ts"
import { Failure, faultLines, misused, withLine } from "./Failure.ts"
import { type OrderText, readOrders } from "./OrderFile.ts"
import { json, printErrorLines, printJson, printJsonLines, printLines } from "./Output.ts"

const text = (name: string, value: string, description: string) =>
  Options.text(name).pipe(Options.withPseudoName(value), Options.optional, Options.withDescription(description))

const content = {
  orderId: text("order-id", "id", "The order's id, which makes sending it again safe"),
  userId: text("user-id", "id", "Who orders"),
  items: Options.text("item").pipe(
    Options.withPseudoName("id"),
    Options.repeated,
    Options.withDescription("An item's id; once for each item")
  ),
  amount: text("amount", "amount", "The total, such as 250.70"),
  currency: text("currency", "code", "An ISO 4217 code, such as EUR"),
  metadata: Options.text("metadata").pipe(
    Options.withPseudoName("json"),
    Options.mapTryCatch(
      (given): unknown => JSON.parse(given),
      () => HelpDoc.p("--metadata: expected a JSON object")
    ),
    Options.optional,
    Options.withDescription('A JSON object to keep with the order, such as {"gift":true}')
  )
}

/** The options that give the fields of an order; all but the last two are needed. */
const optionOf = new Map([
  ["order_id", "--order-id"],
  ["user_id", "--user-id"],
  ["item_ids", "--item"],
  ["total_amount", "--amount"],
  ["currency", "--currency"],
  ["metadata", "--metadata"]
])
const needed = ["order_id", "user_id", "item_ids", "total_amount"]

/** What is wrong with the options, each by its name. */
const wrongOptions = (error: ParseResult.ParseError) =>
  misused(
    ...faults(ParseResult.ArrayFormatter.formatErrorSync(error)).map(({ detail, pointer }) => {
      const [, field = "", ...rest] = pointer.split("/")
      const place = field === "item_ids" && rest[0] !== undefined ? ` (number ${Number(rest[0]) + 1})` : ""
      return `${optionOf.get(field) ?? pointer}${place}: ${detail}`
    })
  )

type Content = Command.Command.ParseConfig<typeof content>

const howToSubmit = "Give one order by its options, or many by --file. See orders submit --help."

const submitOne = Effect.fnUntraced(function* (service: Service, json: boolean, given: Content) {
  const fields = {
    ...Option.match(given.orderId, { onNone: () => ({}), onSome: (order_id) => ({ order_id }) }),
    ...Option.match(given.userId, { onNone: () => ({}), onSome: (user_id) => ({ user_id }) }),
    ...(given.items.length > 0 ? { item_ids: given.items } : {}),
    ...Option.match(given.amount, { onNone: () => ({}), onSome: (total_amount) => ({ total_amount }) })
  }
  const missing = needed.filter((field) => !(field in fields)).map((field) => optionOf.get(field))
  if (missing.length > 0) {
    return yield* misused(`submit: ${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} missing.`, howToSubmit)
  }
  const order = yield* Schema.decodeUnknown(NewOrder)({
    ...fields,
    currency: Option.getOrNull(given.currency),
    metadata: Option.getOrNull(given.metadata)
  }).pipe(Effect.mapError(wrongOptions))
  const api = yield* clientOf(service)
  const answer = yield* api.orders.submit({ payload: order })
  if (json) return yield* printJson(yield* Schema.encode(OrderReceived)(answer))
  yield* printLines([
    answer.status === undefined
      ? `Order ${answer.order_id} is accepted.`
      : `Order ${answer.order_id} was accepted before and is ${answer.status}.`
  ])
})

const encodeId = Schema.encodeSync(Schema.NullOr(OrderIdJson))

type BulkResult = BulkAnswer["results"][number]

const complaint = (result: BulkResult): ReadonlyArray<string> => {
  switch (result.result) {
    case "invalid":
      return ["invalid", ...faultLines(result.errors)]
    case "conflict":
      return [`accepted before with other content (${result.fields.join(", ")})`]
    case "refused":
      return [`refused, too many for now: send it again in ${result.retry_after} seconds`]
    default:
      return []
  }
}

const described = (result: BulkResult, { place }: OrderText) => {
  const [first, ...rest] = complaint(result)
  const id = encodeId(result.order_id)
  return first === undefined ? [] : [`${place}${id === null ? "" : `, order ${id}`}: ${first}`, ...rest]
}

/** What became of each entry of a part, in their order: some are not even sent. */
const resultsOf = (part: ReadonlyArray<OrderText>, answered: ReadonlyArray<BulkResult>): ReadonlyArray<BulkResult> => {
  let next = 0
  const answers = new Map(answered.map((result) => [result.index, result]))
  return part.flatMap(({ fault }, index) => {
    if (fault === null) {
      const answer = answers.get(next++)
      return answer === undefined ? [] : [{ ...answer, index }]
    }
    return [{ index, order_id: null, result: "invalid" as const, errors: [{ pointer: "", detail: fault }] }]
  })
}

const submitMany = Effect.fnUntraced(function* (service: Service, json: boolean, file: string) {
  const api = yield* clientOf(service)
  const count = { accepted: 0, replayed: 0, conflict: 0, invalid: 0, refused: 0 }
  let sent = 0
  const stopped = () =>
    `Stopped after ${sent} orders of ${file === "-" ? "the input" : file}. Sending all of it again is safe.`

  const report = (results: ReadonlyArray<BulkResult>, part: ReadonlyArray<OrderText>) => {
    if (json) {
      return printJsonLines(
        results.map((result) => ({ ...result, order_id: encodeId(result.order_id), index: sent + result.index }))
      )
    }
    const lines = results.flatMap((result) =>
      part.slice(result.index, result.index + 1).flatMap((entry) => described(result, entry))
    )
    return lines.length === 0 ? Effect.void : printErrorLines(lines)
  }

  const submit = Effect.fnUntraced(function* (part: ReadonlyArray<OrderText>) {
    const payload = part.flatMap(({ fault, text }) => (fault === null ? [text] : [])).join("\n")
    const answered =
      payload === ""
        ? []
        : (yield* Effect.mapError(api.orders.submitMany({ payload }), (error) => withLine(stopped())(error))).results
    const results = resultsOf(part, answered)
    for (const { result } of results) count[result] += 1
    yield* report(results, part)
    sent += part.length
  })

  const orders = Stream.mapError(readOrders(file), (error) => (sent === 0 ? error : withLine(stopped())(error)))
  yield* Stream.runForEach(orders, submit)
  if (sent === 0) return yield* misused("submit: there are no orders in that file.")
  if (!json) {
    yield* printLines([
      Object.entries(count)
        .filter(([name, orders]) => orders > 0 || name === "accepted")
        .map(([name, orders]) => `${orders} ${name}`)
        .join(", ")
    ])
  }
  if (count.conflict + count.invalid + count.refused > 0) return yield* new Failure({ lines: [], exitCode: 1 })
})

export const submit = Command.make(
  "submit",
  {
    service,
    json,
    ...content,
    file: text("file", "file", "Many orders: a file of one JSON order a line, or of a JSON array; - for standard input")
  },
  Effect.fnUntraced(function* ({ file, json, service, ...given }) {
    if (Option.isNone(file)) return yield* submitOne(service, json, given)
    const isGiven =
      given.items.length > 0 ||
      [given.orderId, given.userId, given.amount, given.currency, given.metadata].some(Option.isSome)
    if (isGiven) return yield* misused("submit: give one order by options or many by --file, not both.")
    yield* submitMany(service, json, file.value)
  })
).pipe(Command.withDescription("Hand in one order, or many from a file"))
