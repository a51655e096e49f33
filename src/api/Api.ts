import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import {
  BacklogFullProblem,
  JsonTime,
  maxErrorCode,
  NewOrder,
  Order,
  OrderConflictProblem,
  OrderGoneProblem,
  OrderId,
  OrderIdJson,
  OrderNotFoundProblem,
  OrderStatusConflictProblem,
  RetryAfter,
  Status,
  StorageUnavailableProblem,
  UserId,
  UserIdJson
} from "../order/Order.ts"
import { documented, header, mended } from "./Documented.ts"
import { DecimalNumber, WholeNumber } from "./Numbers.ts"
import { asProblem, mediaType, problemFields, problemType } from "./Problem.ts"
import { Time } from "./Time.ts"
import { version } from "./Version.ts"

const described = { detail: Schema.String }
const detail = (error: { readonly detail: string }) => error.detail

export class MalformedRequest extends Schema.TaggedError<MalformedRequest>()("MalformedRequest", described) {}
export const MalformedRequestProblem = asProblem(MalformedRequest, { status: 400, title: "Malformed request", detail })

export class ForeignOrigin extends Schema.TaggedError<ForeignOrigin>()("ForeignOrigin", {}) {}
export const ForeignOriginProblem = asProblem(ForeignOrigin, {
  status: 403,
  title: "Foreign origin",
  detail: () => "A page of another origin may not change anything here. Call the service from the server side."
})

export class RouteNotFound extends Schema.TaggedError<RouteNotFound>()("RouteNotFound", {}) {}
export const RouteNotFoundProblem = asProblem(RouteNotFound, {
  status: 404,
  title: "No such route",
  detail: () => "Nothing is served at this path. GET /docs lists what is."
})

export class MethodNotAllowed extends Schema.TaggedError<MethodNotAllowed>()("MethodNotAllowed", {
  allow: Schema.Array(Schema.String)
}) {}
export const MethodNotAllowedProblem = asProblem(MethodNotAllowed, {
  status: 405,
  title: "Method not allowed",
  detail: (error) => `This path answers ${error.allow.join(", ")} only.`
})

export class BodyTooLarge extends Schema.TaggedError<BodyTooLarge>()("BodyTooLarge", { limit: Schema.Int }) {}
export const BodyTooLargeProblem = asProblem(BodyTooLarge, {
  status: 413,
  title: "Body too large",
  detail: (error) => `The body may have at most ${error.limit} bytes.`
})

export class UnsupportedMediaType extends Schema.TaggedError<UnsupportedMediaType>()(
  "UnsupportedMediaType",
  described
) {}
export const UnsupportedMediaTypeProblem = asProblem(UnsupportedMediaType, {
  status: 415,
  title: "Unsupported media type",
  detail
})

export class InternalError extends Schema.TaggedError<InternalError>()("InternalError", {}) {}
export const InternalErrorProblem = asProblem(InternalError, {
  status: 500,
  title: "Internal error",
  detail: () => "The service failed on this request. Its log has the cause beside this answer's X-Request-Id."
})

export class Draining extends Schema.TaggedError<Draining>()("Draining", { retry_after: RetryAfter }) {}
export const DrainingProblem = asProblem(Draining, {
  status: 503,
  title: "Shutting down",
  detail: (error) =>
    `The service is shutting down; nothing was stored. Send the request again in ${error.retry_after} seconds.`
})

export class TooManyStreams extends Schema.TaggedError<TooManyStreams>()("TooManyStreams", {
  retry_after: RetryAfter
}) {}
export const TooManyStreamsProblem = asProblem(TooManyStreams, {
  status: 503,
  title: "Too many streams",
  detail: () => "As many event streams are open as may be. Close one, or ask for single orders with ?wait."
})

export class TooManyCalls extends Schema.TaggedError<TooManyCalls>()("TooManyCalls", {
  retry_after: RetryAfter
}) {}
export const TooManyCallsProblem = asProblem(TooManyCalls, {
  status: 503,
  title: "Too many bulk calls",
  detail: (error) =>
    "As many calls with many orders are in hand as may be; nothing of this one was stored. " +
    `Send it again in ${error.retry_after} ${error.retry_after === 1 ? "second" : "seconds"}.`
})

export class NotReady extends Schema.TaggedError<NotReady>()("NotReady", {
  reasons: Schema.Array(Schema.String),
  retry_after: RetryAfter
}) {}
export const NotReadyProblem = asProblem(NotReady, {
  status: 503,
  title: "Not ready",
  detail: (error) => `Not ready: ${error.reasons.join(", ")}.`
})

const Fault = Schema.Struct({
  pointer: Schema.String.annotations({ description: "A JSON Pointer by RFC 6901, empty for the whole" }),
  detail: Schema.String
}).annotations({ identifier: "Fault" })

/** Where the faults are, each place once: of the members of a union the first says what was expected. */
export const faults = (
  issues: ReadonlyArray<{ readonly path: ReadonlyArray<PropertyKey>; readonly message: string }>
) => {
  const details = new Map<string, string>()
  for (const { message, path } of issues) {
    const pointer = path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")
    if (!details.has(pointer))
      details.set(pointer, message.includes("(Encoded side)") ? "expected a JSON object" : message)
  }
  return Array.from(details, ([pointer, detail]) => ({ pointer, detail }))
}

const invalidRequest = { status: 422, title: "Invalid request" }
const invalidRequestType = problemType("InvalidRequest")
export const maxFaults = 100

/** Every decode failure of path, query or body, as one 422 with a JSON Pointer (RFC 6901) to each fault. */
const InvalidRequest = Schema.transform(
  Schema.Struct({
    ...problemFields("InvalidRequest", invalidRequest),
    errors: Schema.Array(Fault)
  }),
  Schema.typeSchema(HttpApiDecodeError),
  {
    strict: true,
    decode: ({ detail, errors }) =>
      new HttpApiDecodeError({
        message: detail,
        issues: errors.map((error) => ({
          _tag: "Type" as const,
          path: error.pointer
            .split("/")
            .slice(1)
            .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~")),
          message: error.detail
        }))
      }),
    encode: ({ issues }) => {
      const errors = faults(issues)
      const shown = errors.slice(0, maxFaults)
      const found = errors.length === 1 ? "1 fault" : `${errors.length} faults`
      return {
        type: invalidRequestType,
        title: invalidRequest.title,
        status: invalidRequest.status,
        detail: `The request has ${found}${errors.length > maxFaults ? `, the first ${maxFaults} are listed` : ""}.`,
        errors: shown
      }
    }
  }
)
  .pipe(HttpApiSchema.withEncoding({ kind: "Json", contentType: mediaType }))
  // Last, for other annotations take an identifier away.
  .annotations(HttpApiSchema.annotations({ identifier: "InvalidRequest", description: "Invalid request", status: 422 }))

/** The order is committed and synced to disk. With `status`, it was so before; nothing new was stored. */
export class OrderReceived extends Schema.Class<OrderReceived>("OrderReceived")({
  message: Schema.Literal("Order received"),
  order_id: OrderIdJson,
  status: Schema.optional(Status)
}) {}

const Count = Schema.NonNegativeInt.annotations({ identifier: "Count" })
const Seconds = Schema.NonNegative.annotations({ identifier: "Seconds" })
const Percentiles = Schema.Struct({ p50: Seconds, p95: Seconds, p99: Seconds }).annotations({
  identifier: "Percentiles",
  description: "Since the service started, interpolated in a histogram; 0 before the first"
})
const PerSecond = Schema.NonNegative.annotations({
  identifier: "PerSecond",
  description: "Mean of the last 60 seconds, or since the start where that is less"
})

const ErrorCode = Schema.String.pipe(Schema.minLength(1), Schema.maxLength(maxErrorCode))
const times = {
  accepted_after: Schema.optional(Time.annotations({ description: "Accepted at this time or later" })),
  accepted_before: Schema.optional(Time.annotations({ description: "Accepted before this time" }))
}

/** A place in a listing: after the order of that key. Opaque to clients. */
const Cursor = Schema.compose(Schema.StringFromBase64Url, WholeNumber(1, Number.MAX_SAFE_INTEGER)).annotations({
  message: () => ({ message: "expected the next_cursor of an earlier answer", override: true }),
  jsonSchema: { type: "string", description: "The next_cursor of the page before" }
})

export const ListParameters = Schema.Struct({
  status: Schema.optional(Status),
  user_id: Schema.optional(UserId.annotations({ description: "Orders of this user" })),
  error_code: Schema.optional(ErrorCode.annotations({ description: "Failed orders with this last error" })),
  ...times,
  limit: Schema.optionalWith(
    WholeNumber(1, 500).annotations({
      message: () => ({ message: "expected a whole number from 1 to 500", override: true }),
      jsonSchema: { type: "integer", minimum: 1, maximum: 500, default: 50 }
    }),
    { default: () => 50 }
  ),
  cursor: Schema.optional(Cursor)
}).annotations({ parseOptions: { errors: "all", onExcessProperty: "error" } })

/** Newest first. `next_cursor` is absent on the last page, and only there: a page may have fewer orders than asked for. */
export class OrderList extends Schema.Class<OrderList>("OrderList")({
  orders: Schema.Array(Order.json.annotations({ identifier: "Order" })),
  next_cursor: Schema.optional(Cursor)
}) {}

/** Which orders to work again: all that are given must fit; with none given, all Failed ones. */
export const RetryFilter = Schema.Struct({
  status: Schema.optionalWith(
    Schema.Literal("Failed", "Cancelled").annotations({
      message: () => ({ message: "expected Failed or Cancelled", override: true })
    }),
    { default: () => "Failed" as const }
  ),
  user_id: Schema.optional(UserIdJson),
  error_code: Schema.optional(ErrorCode),
  ...times
}).annotations({ identifier: "RetryFilter", parseOptions: { errors: "all", onExcessProperty: "error" } })

export class Retried extends Schema.Class<Retried>("Retried")({ retried: Schema.NonNegativeInt }) {}

export class FailuresByCode extends Schema.Class<FailuresByCode>("FailuresByCode")({
  failures: Schema.Array(
    Schema.Struct({
      error_code: Schema.String,
      count: Schema.Int,
      first_at: JsonTime,
      last_at: JsonTime,
      order_ids: Schema.Array(OrderIdJson).annotations({ description: "The newest five" })
    })
  ).annotations({ description: "The most frequent hundred codes" }),
  other: Schema.Struct({ count: Count, groups: Count }).annotations({
    description: "The Failed orders that are not counted in `failures`, and how many codes they have"
  })
}) {}

const Breaker = Schema.Struct({
  state: Schema.Literal("closed", "open", "half_open"),
  failures_in_a_row: Count,
  last_error_code: Schema.OptionFromNullOr(Schema.String),
  opened_at: Schema.OptionFromNullOr(JsonTime),
  next_probe_at: Schema.OptionFromNullOr(JsonTime)
}).annotations({
  identifier: "Breaker",
  description: "While it is open the processor is at fault: orders wait, and one is tried at times (half_open)"
})

/** All-time counts survive a restart; percentiles and rates begin with the process. */
export class ServiceMetrics extends Schema.Class<ServiceMetrics>("ServiceMetrics")({
  total_orders: Count,
  orders_pending: Count,
  orders_processing: Count,
  orders_completed: Count,
  orders_failed: Count,
  orders_cancelled: Count,
  total_processed: Count.annotations({ description: "Completed and Failed" }),
  average_processing_time: Seconds.annotations({
    description: "All-time mean over Completed of finished minus started of the run that succeeded; 0 before the first"
  }),
  processing_time: Percentiles,
  queue_wait: Percentiles,
  queue_depth: Count,
  queue_capacity: Count,
  workers: Count,
  workers_busy: Count,
  processor: Schema.Literal("simulated", "webhook", "custom").annotations({
    description: "What processes the orders; the simulated one only waits"
  }),
  accepted_per_second: PerSecond,
  completed_per_second: PerSecond,
  failed_per_second: PerSecond,
  orders_pending_limit: Count.annotations({
    description: "`MAX_PENDING`: at so many waiting orders new ones are refused"
  }),
  orders_refused_last_minute: Count.annotations({
    description: "Orders refused in the last 60 seconds because as many waited as may; each submission counts"
  }),
  oldest_due_seconds: Seconds.annotations({
    description: "For how long the oldest order that is due has waited for its turn; 0 if none is due"
  }),
  last_finished: Schema.Struct({ finished: Count, failed: Count }).annotations({
    description: "Of the last 100 orders that became Completed or Failed, within the last hour, how many failed"
  }),
  breaker: Breaker
}) {}

const Ok = Schema.Struct({ status: Schema.Literal("ok") }).annotations({ identifier: "Ok" })

/** Ready; with `verbose`, what was looked at. An open breaker keeps no order from being accepted. */
const Ready = Schema.Struct({
  status: Schema.Literal("ok"),
  checks: Schema.optional(
    Schema.Struct({ writes: Schema.Literal("ok"), reads: Schema.Literal("ok"), breaker: Breaker })
  )
}).annotations({ identifier: "Ready" })

const closedBreaker = {
  state: "closed",
  failures_in_a_row: 0,
  last_error_code: null,
  opened_at: null,
  next_probe_at: null
}

const exampleOrder = { order_id: 101, user_id: 1, item_ids: [1, 2, 3], total_amount: 250.7 }

/** What became of one order of a bulk call. */
const BulkResult = Schema.Union(
  Schema.Struct({ index: Schema.Int, order_id: OrderIdJson, result: Schema.Literal("accepted") }),
  Schema.Struct({ index: Schema.Int, order_id: OrderIdJson, result: Schema.Literal("replayed"), status: Status }),
  Schema.Struct({
    index: Schema.Int,
    order_id: OrderIdJson,
    result: Schema.Literal("conflict"),
    fields: Schema.Array(Schema.String)
  }),
  Schema.Struct({
    index: Schema.Int,
    order_id: Schema.NullOr(OrderIdJson),
    result: Schema.Literal("invalid"),
    errors: Schema.Array(Fault)
  }),
  Schema.Struct({
    index: Schema.Int,
    order_id: OrderIdJson,
    result: Schema.Literal("refused"),
    retry_after: RetryAfter
  })
).annotations({ identifier: "BulkResult" })

/** One result for each order, in their order, and how many there are of each. */
export class BulkAnswer extends Schema.Class<BulkAnswer>("BulkAnswer")({
  accepted: Schema.NonNegativeInt,
  replayed: Schema.NonNegativeInt,
  conflict: Schema.NonNegativeInt,
  invalid: Schema.NonNegativeInt,
  refused: Schema.NonNegativeInt,
  results: Schema.Array(BulkResult)
}) {}

const exampleAnswer = {
  order_id: 101,
  status: "Completed",
  user_id: 1,
  item_ids: [1, 2, 3],
  total_amount: 250.7,
  currency: null,
  metadata: null,
  attempts: 1,
  accepted_at: "2026-01-31T12:00:00.000Z",
  started_at: "2026-01-31T12:00:00.004Z",
  finished_at: "2026-01-31T12:00:02.004Z",
  next_attempt_at: null,
  last_error: null,
  result: null
}

const submit = HttpApiEndpoint.post("submit", "/api/order")
  .setPayload(NewOrder)
  .addSuccess(OrderReceived, { status: 202 })
  .addSuccess(OrderReceived)
  .addError(MalformedRequestProblem)
  .addError(ForeignOriginProblem)
  .addError(OrderConflictProblem)
  .addError(BodyTooLargeProblem)
  .addError(UnsupportedMediaTypeProblem)
  .addError(InternalErrorProblem)
  .addError(BacklogFullProblem)
  .addError(StorageUnavailableProblem)
  .addError(DrainingProblem)
  .annotateContext(
    documented({
      summary: "Submit an order",
      description:
        "A 2xx means the order is committed and synced to disk. `order_id` makes a repeat safe: the same content again " +
        "answers 200 with the current status, other content answers 409. After a 503 or a lost connection send it again.",
      request: exampleOrder,
      answers: {
        202: {
          description: "Committed and synced to disk",
          example: { message: "Order received", order_id: 101 },
          headers: { Location: header("string", "The path of the order") }
        },
        200: {
          description: "Accepted before; nothing new was stored",
          example: { message: "Order received", order_id: 101, status: "Processing" },
          headers: {
            Location: header("string", "The path of the order"),
            "Idempotent-Replayed": header("string", "`true`")
          }
        }
      }
    })
  )

const OrderPath = Schema.Struct({ order_id: OrderId.annotations({ description: "The order's id" }) })
const OrderAnswer = Order.json.annotations({ identifier: "Order", description: "The order as it stands now" })

const FindParameters = Schema.Struct({
  wait: Schema.optional(
    DecimalNumber(0, 30).annotations({
      message: () => ({ message: "expected a number of seconds from 0 to 30", override: true }),
      jsonSchema: {
        type: "number",
        minimum: 0,
        maximum: 30,
        description: "Answer when the order is final, or after so many seconds"
      }
    })
  )
}).annotations({ parseOptions: { errors: "all", onExcessProperty: "error" } })

const find = HttpApiEndpoint.get("find", "/api/order/:order_id")
  .setPath(OrderPath)
  .setUrlParams(FindParameters)
  .addSuccess(OrderAnswer)
  .addError(OrderNotFoundProblem)
  .addError(OrderGoneProblem)
  .addError(InternalErrorProblem)
  .addError(StorageUnavailableProblem)
  .annotateContext(
    documented({
      summary: "Look at an order",
      description:
        "Its status, content, times, attempts, last error and result, as of the last commit. With `wait` the answer comes " +
        "when the order is Completed, Failed or Cancelled, or after that many seconds as it is then.",
      answers: {
        200: {
          example: exampleAnswer
        }
      }
    })
  )

const submitMany = HttpApiEndpoint.post("submitMany", "/api/orders")
  .setPayload(
    Schema.Union(
      Schema.Array(NewOrder).annotations({ description: "Up to 10,000 orders" }),
      Schema.String.annotations({ description: "Up to 10,000 lines, an order each" }).pipe(
        HttpApiSchema.withEncoding({ kind: "Text", contentType: "application/x-ndjson" })
      )
    )
  )
  .addSuccess(BulkAnswer.annotations({ description: "What became of each" }))
  .addError(MalformedRequestProblem)
  .addError(ForeignOriginProblem)
  .addError(BodyTooLargeProblem)
  .addError(UnsupportedMediaTypeProblem)
  .addError(InternalErrorProblem)
  .addError(TooManyCallsProblem)
  .addError(StorageUnavailableProblem)
  .addError(DrainingProblem)
  .annotateContext(
    documented({
      summary: "Submit many orders",
      description:
        "Up to 10,000 orders in 8 MiB, as a JSON array or as NDJSON. Each is judged for itself: one that is bad, known or " +
        "refused costs the others nothing. What is `accepted` is committed and synced to disk. After a 503 some may have " +
        "been accepted, and the call can be repeated. Eight calls at a time are taken. After 1,000 faults only the first of each bad order is named.",
      request: [exampleOrder],
      answers: {
        200: {
          example: {
            accepted: 1,
            replayed: 0,
            conflict: 0,
            invalid: 1,
            refused: 0,
            results: [
              { index: 0, order_id: 101, result: "accepted" },
              {
                index: 1,
                order_id: null,
                result: "invalid",
                errors: [{ pointer: "/order_id", detail: "is missing" }]
              }
            ]
          }
        }
      }
    })
  )

const watch = HttpApiEndpoint.get("watch", "/api/events")
  .setUrlParams(
    Schema.Struct({
      order_id: Schema.optional(OrderId.annotations({ description: "Changes of this order" })),
      user_id: Schema.optional(UserId.annotations({ description: "Changes of this user's orders" })),
      status: Schema.optional(Status)
    }).annotations({ parseOptions: { errors: "all", onExcessProperty: "error" } })
  )
  .addSuccess(
    Schema.String.annotations({ description: "Server-Sent Events" }).pipe(
      HttpApiSchema.withEncoding({ kind: "Text", contentType: "text/event-stream" })
    )
  )
  .addError(InternalErrorProblem)
  .addError(TooManyStreamsProblem)
  .annotateContext(
    documented({
      summary: "Watch orders change",
      description:
        "Every committed change of status from now on, as Server-Sent Events, with a comment every 15 seconds when there " +
        "is none. Nothing is replayed: after connecting again, read the state again. A client that reads too slowly " +
        "loses the oldest events. The oldest stream may end in favour of a new one when 100 are open.",
      answers: {
        200: {
          example:
            'event: order\ndata: {"order_id":101,"status":"Completed","at":"2026-01-31T12:00:02.004Z","attempts":1,"user_id":1}\n\n'
        }
      }
    })
  )

const act = <const Name extends string>(
  name: Name,
  verb: string,
  texts: { readonly summary: string; readonly description: string; readonly example: unknown }
) =>
  HttpApiEndpoint.post(name, `/api/order/:order_id/${verb}`)
    .setPath(OrderPath)
    .addSuccess(OrderAnswer)
    .addError(ForeignOriginProblem)
    .addError(OrderNotFoundProblem)
    .addError(OrderGoneProblem)
    .addError(OrderStatusConflictProblem)
    .addError(InternalErrorProblem)
    .addError(StorageUnavailableProblem)
    .addError(DrainingProblem)
    .annotateContext(
      documented({
        summary: texts.summary,
        description: texts.description,
        answers: { 200: { example: texts.example } }
      })
    )

const cancel = act("cancel", "cancel", {
  summary: "Cancel an order",
  description:
    "Commits Cancelled first and then interrupts the attempt that may be running, whose outcome no longer counts. " +
    "Cancelled already is 200 again; Completed or Failed is 409.",
  example: { ...exampleAnswer, status: "Cancelled", finished_at: "2026-01-31T12:00:01.000Z" }
})

const retry = act("retry", "retry", {
  summary: "Work an order again",
  description:
    "A Failed or Cancelled order becomes Pending with a fresh set of attempts. To its processor it is a new order: the " +
    "webhook-id is the next one.",
  example: { ...exampleAnswer, status: "Pending", attempts: 0, started_at: null, finished_at: null }
})

const list = HttpApiEndpoint.get("list", "/api/orders")
  .setUrlParams(ListParameters)
  .addSuccess(OrderList.annotations({ description: "A page of orders, newest first" }))
  .addError(InternalErrorProblem)
  .addError(StorageUnavailableProblem)
  .annotateContext(
    documented({
      summary: "List orders",
      description:
        "Newest first. All filters must fit. A page costs the same at any depth, and orders that arrive meanwhile are " +
        "neither repeated nor skipped. Where few of very many orders fit, a page ends after a second and has fewer orders " +
        "than `limit`, even none: go on as long as there is a `next_cursor`.",
      answers: { 200: { example: { orders: [exampleAnswer], next_cursor: "MTAx" } } }
    })
  )

const retryMany = HttpApiEndpoint.post("retryMany", "/api/orders/retry")
  .setPayload(RetryFilter)
  .addSuccess(Retried.annotations({ description: "How many orders are Pending again" }))
  .addError(MalformedRequestProblem)
  .addError(ForeignOriginProblem)
  .addError(BodyTooLargeProblem)
  .addError(UnsupportedMediaTypeProblem)
  .addError(InternalErrorProblem)
  .addError(StorageUnavailableProblem)
  .addError(DrainingProblem)
  .annotateContext(
    documented({
      summary: "Work many orders again",
      description:
        "All orders that fit the filter and were accepted before the call; `{}` means all Failed ones. None is retried " +
        "twice. It is done in batches: after a 503 some may have been retried, and the call can be repeated.",
      request: { status: "Failed", error_code: "timeout" },
      answers: { 200: { example: { retried: 12 } } }
    })
  )

const failures = HttpApiEndpoint.get("failures", "/api/failures")
  .addSuccess(FailuresByCode.annotations({ description: "The most frequent first" }))
  .addError(InternalErrorProblem)
  .addError(StorageUnavailableProblem)
  .annotateContext(
    documented({
      summary: "See what fails",
      description:
        "The Failed orders by the code of their last error: the hundred most frequent codes, and in `other` how many " +
        `orders have another. A code is kept exactly up to ${maxErrorCode} characters; a longer one ends in a digest of it.`,
      answers: {
        200: {
          example: {
            failures: [
              {
                error_code: "timeout",
                count: 12,
                first_at: "2026-01-31T12:00:00.000Z",
                last_at: "2026-01-31T12:30:00.000Z",
                order_ids: [112, 111, 110, 109, 108]
              }
            ],
            other: { count: 0, groups: 0 }
          }
        }
      }
    })
  )

const metrics = HttpApiEndpoint.get("metrics", "/api/metrics")
  .addSuccess(ServiceMetrics.annotations({ description: "Counts, times and rates" }))
  .addError(InternalErrorProblem)
  .annotateContext(
    documented({
      summary: "Read the metrics",
      description: "The counts of the five statuses always add up to `total_orders`. Times are in seconds.",
      answers: {
        200: {
          example: {
            total_orders: 1000,
            orders_pending: 600,
            orders_processing: 100,
            orders_completed: 300,
            orders_failed: 0,
            orders_cancelled: 0,
            total_processed: 300,
            average_processing_time: 2.003,
            processing_time: { p50: 2.01, p95: 2.9, p99: 2.98 },
            queue_wait: { p50: 2.2, p95: 5.1, p99: 5.6 },
            queue_depth: 600,
            queue_capacity: 1000,
            workers: 100,
            workers_busy: 100,
            processor: "webhook",
            accepted_per_second: 16.6,
            completed_per_second: 5,
            failed_per_second: 0,
            orders_pending_limit: 100_000,
            orders_refused_last_minute: 0,
            oldest_due_seconds: 5.2,
            last_finished: { finished: 100, failed: 0 },
            breaker: closedBreaker
          }
        }
      }
    })
  )

const ready = HttpApiEndpoint.get("ready", "/readyz")
  .setUrlParams(
    Schema.Struct({
      verbose: Schema.optional(Schema.String.annotations({ description: "Show what was looked at" }))
    })
  )
  .addSuccess(Ready.annotations({ description: "Yes" }))
  .addError(InternalErrorProblem)
  .addError(NotReadyProblem)
  .annotateContext(
    documented({
      summary: "Should traffic come here?",
      description:
        "503 while shutting down, and while writes fail. With `?verbose` it tells what was looked at, and how the circuit " +
        "breaker in front of the processor stands.",
      answers: { 200: { example: { status: "ok", checks: { writes: "ok", reads: "ok", breaker: closedBreaker } } } }
    })
  )

const probe = <const Name extends string>(name: Name, path: `/${string}`, summary: string, description: string) =>
  HttpApiEndpoint.get(name, path)
    .addSuccess(Ok.annotations({ description: "Yes" }))
    .addError(InternalErrorProblem)
    .annotateContext(documented({ summary, description, answers: { 200: { example: { status: "ok" } } } }))

/** The HTTP contract. It knows the vocabulary only, so a client can import it without the service. */
export class Api extends HttpApi.make("orders")
  .add(
    HttpApiGroup.make("orders")
      .add(submit)
      .add(submitMany)
      .add(find)
      .add(cancel)
      .add(retry)
      .add(list)
      .add(retryMany)
      .add(failures)
      .add(watch)
      .annotateContext(OpenApi.annotations({ title: "Orders", description: "Handing orders in and looking at them" }))
  )
  .add(
    HttpApiGroup.make("service")
      .add(metrics)
      .add(probe("health", "/health", "Is the service up?", "Answers as long as the process does."))
      .add(probe("live", "/livez", "Should the process be left running?", "Answers as long as the process does."))
      .add(ready)
      .annotateContext(OpenApi.annotations({ title: "Service", description: "How the service itself is doing" }))
  )
  .annotateContext(
    OpenApi.annotations({
      title: "Orders",
      version,
      description: "Takes orders, keeps them durably, works them off in the background and shows what became of each.",
      license: { name: "MIT", url: "https://opensource.org/license/mit" },
      // The folder that /openapi.json and /docs are in, so that it fits below the path prefix of a proxy too.
      servers: [{ url: ".", description: "This service" }]
    })
  )
  .annotateContext(mended) {
  /** In place of HttpApi's own 400: `HttpApiDecodeError` stays the error, its wire form is ours. */
  static override readonly errorSchema = Schema.make<HttpApiDecodeError, unknown>(InvalidRequest.ast)
}
