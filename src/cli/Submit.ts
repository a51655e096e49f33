import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import { Console, Effect, Option, Schema, Stream } from "effect"
import { type BulkAnswer, OrderReceived } from "../Api.ts"
import { NewOrder, OrderIdJson } from "../Order.ts"
import { clientOf, url } from "./Connection.ts"
import { Failure, faultLines, invalidOrder, misused, within } from "./Failure.ts"
import { type Entry, readOrders } from "./OrderFile.ts"
import { json, printJson } from "./Output.ts"

const text = (name: string, description: string) =>
  Options.text(name).pipe(Options.optional, Options.withDescription(description))

const content = {
  orderId: text("order-id", "The order's id, which makes sending it again safe"),
  userId: text("user-id", "Who orders"),
  items: Options.text("item").pipe(Options.repeated, Options.withDescription("An item's id; once for each item")),
  amount: text("amount", "The total, such as 250.70"),
  currency: text("currency", "An ISO 4217 code, such as EUR"),
  metadata: Options.text("metadata").pipe(
    Options.mapTryCatch(
      (given): unknown => JSON.parse(given),
      () => HelpDoc.p("--metadata: expected a JSON object")
    ),
    Options.optional,
    Options.withDescription('A JSON object to keep with the order, such as {"gift":true}')
  )
}

type Content = Command.Command.ParseConfig<typeof content>

const submitOne = Effect.fnUntraced(function* (url: string, json: boolean, given: Content) {
  const order = yield* Schema.decodeUnknown(NewOrder)({
    ...Option.match(given.orderId, { onNone: () => ({}), onSome: (order_id) => ({ order_id }) }),
    ...Option.match(given.userId, { onNone: () => ({}), onSome: (user_id) => ({ user_id }) }),
    ...(given.items.length > 0 ? { item_ids: given.items } : {}),
    ...Option.match(given.amount, { onNone: () => ({}), onSome: (total_amount) => ({ total_amount }) }),
    currency: Option.getOrNull(given.currency),
    metadata: Option.getOrNull(given.metadata)
  }).pipe(Effect.mapError(invalidOrder))
  const api = yield* clientOf(url)
  const answer = yield* api.orders.submit({ payload: order })
  if (json) return yield* printJson(yield* Schema.encode(OrderReceived)(answer))
  yield* Console.log(
    answer.status === undefined
      ? `Order ${answer.order_id} is accepted.`
      : `Order ${answer.order_id} was accepted before and is ${answer.status}.`
  )
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
      return [`refused, too many orders are waiting: send it again in ${result.retry_after} seconds`]
    default:
      return []
  }
}

const submitMany = Effect.fnUntraced(function* (url: string, json: boolean, file: string) {
  const api = yield* clientOf(url)
  const count = { accepted: 0, replayed: 0, conflict: 0, invalid: 0, refused: 0 }
  let sent = 0

  const tell = (result: BulkResult, place: string) => {
    count[result.result] += 1
    const id = encodeId(result.order_id)
    if (json) return printJson({ ...result, order_id: id, index: sent + result.index })
    const lines = complaint(result)
    return lines.length === 0
      ? Effect.void
      : Console.error([`${place}${id === null ? "" : `, order ${id}`}: ${lines[0]}`, ...lines.slice(1)].join("\n"))
  }

  const submit = Effect.fnUntraced(function* (part: ReadonlyArray<Entry>) {
    const payload = part.map((entry) => entry.text.trim()).join("\n")
    const answer = yield* api.orders
      .submitMany({ payload })
      .pipe(
        within(`Stopped after ${sent} orders of ${file === "-" ? "the input" : file}. Sending all of it again is safe.`)
      )
    for (const result of answer.results) yield* tell(result, part[result.index]?.place ?? "")
    sent += part.length
  })

  yield* Stream.runForEach(readOrders(file), submit)
  if (sent === 0) return yield* misused("submit: there are no orders in that file.")
  if (!json) {
    yield* Console.log(
      Object.entries(count)
        .filter(([name, orders]) => orders > 0 || name === "accepted")
        .map(([name, orders]) => `${orders} ${name}`)
        .join(", ")
    )
  }
  if (count.conflict + count.invalid + count.refused > 0) return yield* new Failure({ lines: [], exitCode: 1 })
})

export const submit = Command.make(
  "submit",
  {
    url,
    json,
    ...content,
    file: text("file", "Many orders: a file of one JSON order a line, or of a JSON array; - for standard input")
  },
  Effect.fnUntraced(function* ({ file, json, url, ...given }) {
    if (Option.isNone(file)) return yield* submitOne(url, json, given)
    const isGiven =
      given.items.length > 0 ||
      [given.orderId, given.userId, given.amount, given.currency, given.metadata].some(Option.isSome)
    if (isGiven) return yield* misused("submit: give one order by options or many by --file, not both.")
    yield* submitMany(url, json, file.value)
  })
).pipe(Command.withDescription("Hand in one order, or many from a file"))
