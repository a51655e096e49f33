import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { DateTime, Effect, Option, Schema } from "effect"
import { FailuresByCode, NodeList, ServiceMetrics } from "../api/Answers.ts"
import { DecimalNumber, WholeNumber } from "../api/Numbers.ts"
import { Time, timeRules } from "../api/Time.ts"
import { Order, OrderId, Status, UserId } from "../order/Order.ts"
import { clientOf, service } from "./Connection.ts"
import { explained } from "./Explained.ts"
import { naming } from "./Failure.ts"
import {
  Coloured,
  json,
  jsonText,
  printErrorLines,
  printFields,
  printJson,
  printJsonLines,
  printLines,
  printTable,
  statusText,
  tablePrinter
} from "./Output.ts"

type Found = typeof Order.json.Type

export const id = Args.text({ name: "id" }).pipe(Args.withSchema(OrderId), Args.withDescription("The order's id"))

export const encodeOrder = Schema.encode(Order.json)

const timeOf = (time: Option.Option<DateTime.Utc>) => Option.getOrNull(Option.map(time, DateTime.formatIso))

const amountOf = ({ currency, total_amount }: Found) => [total_amount / 10_000, ...Option.toArray(currency)].join(" ")

/** One order with all that is known of it. */
export const printOrder = (order: Found) =>
  printFields([
    ["order", order.order_id],
    ["status", statusText(order.status)],
    ["user", order.user_id],
    ["items", order.item_ids.join(", ")],
    ["amount", amountOf(order)],
    ...Option.match(order.metadata, {
      onNone: () => [],
      onSome: (metadata) => [["metadata", jsonText(metadata)] as const]
    }),
    ["attempts", order.attempts],
    ["accepted", DateTime.formatIso(order.accepted_at)],
    ["started", timeOf(order.started_at)],
    ["finished", timeOf(order.finished_at)],
    ...Option.match(order.next_attempt_at, {
      onNone: () => [],
      onSome: (at) => [["next attempt", DateTime.formatIso(at)] as const]
    }),
    ...Option.match(order.last_error, {
      onNone: () => [],
      onSome: ({ attempt, code, message }) => [["last error", `${code} (attempt ${attempt}): ${message}`] as const]
    }),
    ...Option.match(order.result, {
      onNone: () => [],
      onSome: (result) => [["result", jsonText(result)] as const]
    })
  ])

const wait = Options.text("wait").pipe(
  Options.withPseudoName("seconds"),
  Options.withSchema(explained(DecimalNumber(0, 30), "--wait: expected 0 to 30 seconds")),
  Options.optional,
  Options.withDescription("Answer when the order is final, or after so many seconds, at most 30")
)

export const get = Command.make(
  "get",
  { service, json, wait, id },
  Effect.fnUntraced(function* ({ id, json, service, wait }) {
    const api = yield* clientOf(service)
    const order = yield* api.orders
      .find({ path: { order_id: id }, urlParams: { wait: Option.getOrUndefined(wait) } })
      .pipe(naming(id))
    yield* json ? Effect.flatMap(encodeOrder(order), printJson) : printOrder(order)
  })
).pipe(Command.withDescription("Show one order"))

const time = (name: string, description: string) =>
  Options.text(name).pipe(
    Options.withPseudoName("time"),
    Options.withSchema(explained(Time, `--${name}: ${timeRules}`)),
    Options.optional,
    Options.withDescription(description)
  )

/** The filters that listing and retrying have in common. */
export const filters = {
  userId: Options.text("user-id").pipe(
    Options.withPseudoName("id"),
    Options.withSchema(UserId),
    Options.optional,
    Options.withDescription("Orders of this user")
  ),
  errorCode: Options.text("error-code").pipe(
    Options.withPseudoName("code"),
    Options.optional,
    Options.withDescription("Failed orders with this last error")
  ),
  acceptedAfter: time("accepted-after", "Accepted at this time or later"),
  acceptedBefore: time("accepted-before", "Accepted before this time")
}

/** As the API takes them. */
export const filterOf = (given: {
  readonly userId: Option.Option<typeof UserId.Type>
  readonly errorCode: Option.Option<string>
  readonly acceptedAfter: Option.Option<DateTime.Utc>
  readonly acceptedBefore: Option.Option<DateTime.Utc>
}) => ({
  user_id: Option.getOrUndefined(given.userId),
  error_code: Option.getOrUndefined(given.errorCode),
  accepted_after: Option.getOrUndefined(given.acceptedAfter),
  accepted_before: Option.getOrUndefined(given.acceptedBefore)
})

export const status = Options.choice("status", Status.literals).pipe(
  Options.optional,
  Options.withDescription("Orders in this status")
)

/** The service lists no more at a time. */
export const mostListed = 500

const defaultLimit = 50

const encodeOrders = Schema.encode(Schema.Array(Order.json))

const listHead = ["ORDER", "STATUS", "USER", "ITEMS", "AMOUNT", "ATTEMPTS", "ACCEPTED", "FINISHED", "LAST ERROR"]

const listRow = (order: Found) => [
  order.order_id,
  statusText(order.status),
  order.user_id,
  order.item_ids.length,
  amountOf(order),
  order.attempts,
  DateTime.formatIso(order.accepted_at),
  timeOf(order.finished_at),
  Option.getOrNull(Option.map(order.last_error, (error) => error.code))
]

export const list = Command.make(
  "list",
  {
    service,
    json,
    status,
    ...filters,
    limit: Options.text("limit").pipe(
      Options.withPseudoName("number"),
      Options.withSchema(
        explained(WholeNumber(1, mostListed), `--limit: expected a whole number from 1 to ${mostListed}`)
      ),
      Options.withDefault(defaultLimit),
      Options.withDescription(`How many, without --all; at most ${mostListed} [default: ${defaultLimit}]`)
    ),
    all: Options.boolean("all").pipe(Options.withDescription("All that fit, not only the newest"))
  },
  Effect.fnUntraced(function* ({ all, json, limit, status, service, ...given }) {
    const api = yield* clientOf(service)
    const filter = { ...filterOf(given), status: Option.getOrUndefined(status) }
    const printRows = tablePrinter(listHead)
    let left = all ? Number.POSITIVE_INFINITY : limit
    let cursor: number | undefined
    // A page may be short, or empty, and yet not be the last.
    do {
      const page = yield* api.orders.list({ urlParams: { ...filter, limit: Math.min(left, mostListed), cursor } })
      left -= page.orders.length
      cursor = page.next_cursor
      const isLast = left === 0 || cursor === undefined
      if (json) yield* Effect.flatMap(encodeOrders(page.orders), printJsonLines)
      else if (page.orders.length > 0 || isLast) yield* printRows(page.orders.map(listRow))
    } while (left > 0 && cursor !== undefined)
    if (!json && cursor !== undefined) yield* printErrorLines(["There are more: --all shows them."])
  })
).pipe(Command.withDescription("List orders, newest first"))

export const failures = Command.make(
  "failures",
  { service, json },
  Effect.fnUntraced(function* ({ json, service }) {
    const api = yield* clientOf(service)
    const answer = yield* api.orders.failures()
    if (json) return yield* Effect.flatMap(Schema.encode(FailuresByCode)(answer), printJson)
    if (answer.failures.length === 0) return yield* printLines(["No order is Failed."])
    yield* printTable(
      ["ERROR CODE", "COUNT", "FIRST", "LAST", "NEWEST ORDERS"],
      answer.failures.map((failure) => [
        failure.error_code,
        failure.count,
        DateTime.formatIso(failure.first_at),
        DateTime.formatIso(failure.last_at),
        failure.order_ids.join(", ")
      ])
    )
    const { count, groups } = answer.other
    if (count > 0) yield* printLines([`${count} more ${count === 1 ? "order" : "orders"}, of ${groups} other codes.`])
  })
).pipe(Command.withDescription("Show Failed orders by the code of their last error"))

export const nodes = Command.make(
  "nodes",
  { service, json },
  Effect.fnUntraced(function* ({ json, service }) {
    const api = yield* clientOf(service)
    const answer = yield* api.service.nodes()
    if (json) return yield* Effect.flatMap(Schema.encode(NodeList)(answer), printJson)
    yield* printTable(
      ["NODE", "STATE", "ROLE", "VERSION", "SINCE", "LAST HEARD", "BUSY", "BREAKER"],
      answer.nodes.map((node) => [
        node.name,
        node.alive ? new Coloured("green", "alive") : new Coloured("red", "gone"),
        node.role,
        node.version,
        DateTime.formatIso(node.since),
        DateTime.formatIso(node.heard_at),
        `${node.workers_busy} of ${node.workers}`,
        node.breaker.state
      ])
    )
  })
).pipe(Command.withDescription("Show the nodes that share the orders"))

export const metrics = Command.make(
  "metrics",
  { service, json },
  Effect.fnUntraced(function* ({ json, service }) {
    const api = yield* clientOf(service)
    const now = yield* api.service.metrics()
    if (json) return yield* Effect.flatMap(Schema.encode(ServiceMetrics)(now), printJson)
    const short = (value: number) => Math.round(value * 1000) / 1000
    const times = ({ p50, p95, p99 }: typeof now.queue_wait) =>
      `p50 ${short(p50)} s, p95 ${short(p95)} s, p99 ${short(p99)} s`
    yield* printFields([
      ["orders", now.total_orders],
      ["  pending", now.orders_pending],
      ["  processing", now.orders_processing],
      ["  completed", now.orders_completed],
      ["  failed", now.orders_failed],
      ["  cancelled", now.orders_cancelled],
      ["accepted", `${short(now.accepted_per_second)} a second`],
      ["completed", `${short(now.completed_per_second)} a second`],
      ["queue wait", times(now.queue_wait)],
      ["processing", `${times(now.processing_time)}, all-time mean ${short(now.average_processing_time)} s`],
      ["queue", `${now.queue_depth} of ${now.queue_capacity}`],
      ["workers", `${now.workers_busy} of ${now.workers} busy`],
      [
        "breaker",
        Option.match(now.breaker.opened_at, {
          onNone: () => now.breaker.state,
          onSome: (at) => `${now.breaker.state} since ${DateTime.formatIso(at)}`
        })
      ]
    ])
  })
).pipe(Command.withDescription("Show counts, times and rates"))
