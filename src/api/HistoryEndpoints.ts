import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import { DateTime, Option, Schema } from "effect"
import { type OrderChange, RowKey } from "../order/OrderChange.ts"
import { Changes, OrderHistory } from "./Answers.ts"
import { changeJson } from "./Change.ts"
import { documented } from "./Documented.ts"
import { ChangeId, ChangeParameters, EventParameters, HistoryParameters, OrderPath } from "./Filters.ts"
import { heartbeatSeconds } from "./Heartbeat.ts"
import { eventText } from "./OrderEvent.ts"
import {
  InternalErrorProblem,
  OrderGoneProblem,
  OrderNotFoundProblem,
  StorageUnavailableProblem,
  TooManyStreamsProblem
} from "./Problems.ts"
import { NeededScope } from "./Scope.ts"
import { maxOwnStreams, maxStreams } from "./StreamLimits.ts"

const accepted: OrderChange = {
  id: 301,
  key: RowKey(101),
  order_id: "101",
  user_id: "1",
  from: Option.none(),
  to: "Pending",
  at: DateTime.unsafeMake("2026-01-31T12:00:00.000Z"),
  run: 0,
  attempt: 0,
  reason: "accepted",
  error: Option.none(),
  next_attempt_at: Option.none(),
  by: Option.none()
}

const claimed: OrderChange = {
  ...accepted,
  id: 302,
  from: Option.some("Pending"),
  to: "Processing",
  at: DateTime.unsafeMake("2026-01-31T12:00:00.004Z"),
  run: 1,
  attempt: 1,
  reason: "claimed"
}

const postponed: OrderChange = {
  ...claimed,
  id: 303,
  from: Option.some("Processing"),
  to: "Pending",
  at: DateTime.unsafeMake("2026-01-31T12:00:02.004Z"),
  reason: "retry_scheduled",
  error: Option.some({ code: "timeout", message: "No outcome within 2s" }),
  next_attempt_at: Option.some(DateTime.unsafeMake("2026-01-31T12:00:02.704Z"))
}

export const history = HttpApiEndpoint.get("history", "/api/order/:order_id/history")
  .setPath(OrderPath)
  .setUrlParams(HistoryParameters)
  .addSuccess(OrderHistory.annotations({ description: "Changes of the order, oldest first" }))
  .addError(OrderNotFoundProblem)
  .addError(OrderGoneProblem)
  .addError(InternalErrorProblem)
  .addError(StorageUnavailableProblem)
  .annotate(NeededScope, "read")
  .annotateContext(
    documented({
      summary: "Read the history of an order",
      description:
        "Every change of its status, oldest first: why, in which run, with which error, and when it runs again. Changes " +
        "older than `HISTORY` are not kept. With `next` there are more: " +
        "go on with it as `after`.",
      answers: { 200: { example: { changes: [accepted, claimed, postponed].map(changeJson) } } }
    })
  )

export const changes = HttpApiEndpoint.get("changes", "/api/changes")
  .setUrlParams(ChangeParameters)
  .addSuccess(Changes.annotations({ description: "Changes, oldest first" }))
  .addError(InternalErrorProblem)
  .addError(StorageUnavailableProblem)
  .annotate(NeededScope, "read")
  .annotateContext(
    documented({
      summary: "Read changes of orders",
      description:
        "Every committed change of status behind `after`, in the order of commit: none is missed and none comes twice for " +
        "a client that keeps `next` and goes on with it. Without `after` it begins with the oldest that is kept. If there " +
        "is none that fits, the answer has none and a `next`, after `wait` seconds; where few of very many fit " +
        "it comes after a second. `reset` says that some behind `after` are not kept any more: read the state again.",
      answers: { 200: { example: { changes: [claimed].map(changeJson), next: "302" } } }
    })
  )

const eventStream = "text/event-stream"

export const watch = HttpApiEndpoint.get("watch", "/api/events")
  .setUrlParams(EventParameters)
  .setHeaders(
    Schema.Struct({
      // Empty, it names no event (WHATWG HTML, 9.2.4), and some clients send it so.
      "last-event-id": Schema.optional(
        Schema.Union(ChangeId, Schema.Literal("")).annotations({
          jsonSchema: { type: "integer", minimum: 0, description: "As `after`, and before it" }
        })
      )
    })
  )
  .addSuccess(
    Schema.String.annotations({
      description: "Server-Sent Events",
      jsonSchema: {
        type: "string",
        description: "Server-Sent Events; the data of each one named `order` is an OrderEvent",
        contentMediaType: eventStream,
        contentSchema: { $ref: "#/components/schemas/OrderEvent" }
      }
    }).pipe(HttpApiSchema.withEncoding({ kind: "Text", contentType: eventStream }))
  )
  .addError(InternalErrorProblem)
  .addError(StorageUnavailableProblem)
  .addError(TooManyStreamsProblem)
  .annotate(NeededScope, "read")
  .annotateContext(
    documented({
      summary: "Watch orders change",
      description:
        "Every committed change of status as Server-Sent Events, in the order of commit, each with its id. After " +
        "`Last-Event-ID`, which browsers send by themselves, or `after`, come all changes behind it; without either those from " +
        "now on. A client that reads slowly loses nothing. If some behind that id are not kept any more, an event named " +
        "`reset` comes first, whose data is a Reset, and then all that there is. An `id` without an event is where " +
        `to resume as well. A comment comes every ${heartbeatSeconds} seconds when there is nothing else. ` +
        `At most ${maxStreams} streams are open, and ${maxOwnStreams} of a key, or of an ` +
        "address (IPv6: a /64 network) without one: the next takes the place of the oldest, or is answered 503 if that " +
        "one is not a minute old.",
      answers: { 200: { example: [claimed, postponed].map(eventText).join("") } }
    })
  )
