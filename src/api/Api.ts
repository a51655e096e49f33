import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import type { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import { maxErrorCode, NewOrder, Order } from "../order/Order.ts"
import { Authorization } from "./Access.ts"
import {
  BulkAnswer,
  FailuresByCode,
  KeyInfo,
  NodeList,
  Ok,
  OrderList,
  OrderReceived,
  Ready,
  Retried,
  ServiceMetrics
} from "./Answers.ts"
import { BodyRules, bulkCalls, bulkCallsWaiting, bulkFaults, bulkLimit, bulkOrders } from "./BodyRules.ts"
import { documented, header, mended } from "./Documented.ts"
import { ListParameters, OrderPath, pageBytes, RetryFilter, Wait } from "./Filters.ts"
import { changes, history, watch } from "./HistoryEndpoints.ts"
import { InvalidRequest } from "./InvalidRequest.ts"
import { OrderEvent, Reset } from "./OrderEvent.ts"
import {
  BacklogFullProblem,
  BodyTooLargeProblem,
  DrainingProblem,
  ForeignOriginProblem,
  InternalErrorProblem,
  MalformedRequestProblem,
  MisdirectedRequestProblem,
  NotReadyProblem,
  OrderConflictProblem,
  OrderGoneProblem,
  OrderNotFoundProblem,
  OrderStatusConflictProblem,
  StartingProblem,
  StorageUnavailableProblem,
  TooManyBytesProblem,
  TooManyCallsProblem,
  UnsupportedMediaTypeProblem,
  WorkerOnlyProblem
} from "./Problems.ts"
import { NeededScope } from "./Scope.ts"
import { version } from "./Version.ts"

const closedBreaker = {
  state: "closed",
  failures_in_a_row: 0,
  last_error_code: null,
  opened_at: null,
  next_probe_at: null
}

const exampleOrder = { order_id: 101, user_id: 1, item_ids: [1, 2, 3], total_amount: 250.7 }

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
  .addError(OrderConflictProblem)
  .addError(BodyTooLargeProblem)
  .addError(UnsupportedMediaTypeProblem)
  .addError(WorkerOnlyProblem)
  .addError(InternalErrorProblem)
  .addError(BacklogFullProblem)
  .addError(TooManyBytesProblem)
  .addError(StorageUnavailableProblem)
  .addError(DrainingProblem)
  .annotate(NeededScope, "submit")
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

const OrderAnswer = Order.json.annotations({ identifier: "Order", description: "The order as it stands now" })

const FindParameters = Schema.Struct({
  wait: Wait("Answer when the order is final, or after so many seconds")
}).annotations({ parseOptions: { errors: "all", onExcessProperty: "error" } })

const find = HttpApiEndpoint.get("find", "/api/order/:order_id")
  .setPath(OrderPath)
  .setUrlParams(FindParameters)
  .addSuccess(OrderAnswer)
  .addError(OrderNotFoundProblem)
  .addError(OrderGoneProblem)
  .addError(InternalErrorProblem)
  .addError(StorageUnavailableProblem)
  .annotate(NeededScope, "read")
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

/** With a comma before each three digits. */
const grouped = (count: number) => count.toLocaleString("en")

const submitMany = HttpApiEndpoint.post("submitMany", "/api/orders")
  .setPayload(
    Schema.Union(
      Schema.Array(NewOrder).annotations({ description: `Up to ${grouped(bulkOrders)} orders` }),
      Schema.String.annotations({ description: `Up to ${grouped(bulkOrders)} lines, an order each` }).pipe(
        HttpApiSchema.withEncoding({ kind: "Text", contentType: "application/x-ndjson" })
      )
    )
  )
  .annotate(BodyRules, { limit: bulkLimit, lines: true })
  .addSuccess(BulkAnswer.annotations({ description: "What became of each" }))
  .addError(MalformedRequestProblem)
  .addError(BodyTooLargeProblem)
  .addError(UnsupportedMediaTypeProblem)
  .addError(WorkerOnlyProblem)
  .addError(InternalErrorProblem)
  .addError(TooManyCallsProblem)
  .addError(TooManyBytesProblem)
  .addError(StorageUnavailableProblem)
  .addError(DrainingProblem)
  .annotate(NeededScope, "submit")
  .annotateContext(
    documented({
      summary: "Submit many orders",
      description:
        `Up to ${grouped(bulkOrders)} orders in ${bulkLimit / 1024 ** 2} MiB, as a JSON array or as NDJSON. ` +
        "Each is judged for itself: one that is bad, known or refused costs the others nothing. What is `accepted` is " +
        "committed and synced to disk. After a 503 some may have been accepted, and the call can be repeated. " +
        `${bulkCalls} calls at a time are taken, and ${bulkCallsWaiting} wait for their turn. ` +
        `After ${grouped(bulkFaults)} faults only the first of each bad order is named.`,
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

const act = <const Name extends string>(
  name: Name,
  verb: string,
  texts: { readonly summary: string; readonly description: string; readonly example: unknown }
) =>
  HttpApiEndpoint.post(name, `/api/order/:order_id/${verb}`)
    .setPath(OrderPath)
    .addSuccess(OrderAnswer)
    .addError(OrderNotFoundProblem)
    .addError(OrderGoneProblem)
    .addError(OrderStatusConflictProblem)
    .addError(WorkerOnlyProblem)
    .addError(InternalErrorProblem)
    .addError(StorageUnavailableProblem)
    .addError(DrainingProblem)
    .annotate(NeededScope, "operate")
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
  summary: "Retry an order",
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
  .annotate(NeededScope, "read")
  .annotateContext(
    documented({
      summary: "List orders",
      description:
        "Newest first. All filters must fit. A page costs the same at any depth, and orders that arrive meanwhile are " +
        `neither repeated nor skipped. A page ends at ${pageBytes / 1024 ** 2} MiB, and where few of very many orders fit ` +
        "after a second, with fewer orders than `limit`, even none: go on as long as there is a `next_cursor`.",
      answers: { 200: { example: { orders: [exampleAnswer], next_cursor: "MTAx" } } }
    })
  )

const retryMany = HttpApiEndpoint.post("retryMany", "/api/orders/retry")
  .setPayload(RetryFilter)
  .addSuccess(Retried.annotations({ description: "How many orders are Pending again" }))
  .addError(MalformedRequestProblem)
  .addError(BodyTooLargeProblem)
  .addError(UnsupportedMediaTypeProblem)
  .addError(WorkerOnlyProblem)
  .addError(InternalErrorProblem)
  .addError(TooManyBytesProblem)
  .addError(StorageUnavailableProblem)
  .addError(DrainingProblem)
  .annotate(NeededScope, "operate")
  .annotateContext(
    documented({
      summary: "Retry many orders",
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
  .annotate(NeededScope, "read")
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
  .addError(ForeignOriginProblem)
  .addError(InternalErrorProblem)
  .annotate(NeededScope, "metrics")
  .annotateContext(
    documented({
      summary: "Read the metrics",
      description:
        "For all nodes, whichever is asked. The counts of the five statuses always add up to `total_orders`. Times are in " +
        "seconds.",
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

const nodes = HttpApiEndpoint.get("nodes", "/api/nodes")
  .addSuccess(NodeList.annotations({ description: "The one that was started first before the others" }))
  .addError(ForeignOriginProblem)
  .addError(InternalErrorProblem)
  .annotate(NeededScope, "metrics")
  .annotateContext(
    documented({
      summary: "List the nodes",
      description:
        "The processes that share the orders, whichever is asked. One that is silent for ten seconds is gone, and is left " +
        "out after an hour; one that ended in order is left out within a second. With `QUEUE=memory` there is one.",
      answers: {
        200: {
          example: {
            nodes: [
              {
                name: "shop-1-9f3c",
                role: "all",
                version,
                since: "2026-01-31T12:00:00.000Z",
                heard_at: "2026-01-31T12:30:00.000Z",
                alive: true,
                workers: 100,
                workers_busy: 40,
                breaker: closedBreaker
              }
            ]
          }
        }
      }
    })
  )

const key = HttpApiEndpoint.get("key", "/api/key")
  .addSuccess(KeyInfo.annotations({ description: "The key that the request was sent with" }))
  .addError(ForeignOriginProblem)
  .addError(InternalErrorProblem)
  .annotateContext(
    documented({
      summary: "Look at one's key",
      description:
        "Its name, what it is good for, and when it ends. A service without keys answers with all scopes and no name.",
      answers: { 200: { example: { name: "shop", scopes: ["submit", "read"], expires_at: null } } }
    })
  )

const ready = HttpApiEndpoint.get("ready", "/readyz")
  .setUrlParams(
    Schema.Struct({
      verbose: Schema.optional(Schema.String.annotations({ description: "Show what was looked at" }))
    })
  )
  .addSuccess(Ready.annotations({ description: "Ready" }))
  .addError(InternalErrorProblem)
  .addError(NotReadyProblem)
  .annotateContext(
    documented({
      summary: "Readiness probe",
      description:
        "503 while shutting down, and while writes fail. With `?verbose` it shows what was checked, and how the circuit " +
        "breaker in front of the processor stands.",
      answers: { 200: { example: { status: "ok", checks: { writes: "ok", reads: "ok", breaker: closedBreaker } } } }
    })
  )

const probe = <const Name extends string>(name: Name, path: `/${string}`, summary: string, description: string) =>
  HttpApiEndpoint.get(name, path)
    .addSuccess(Ok.annotations({ description: "Up" }))
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
      .add(history)
      .add(changes)
      .add(watch)
      .addError(ForeignOriginProblem)
      .addError(MisdirectedRequestProblem)
      .addError(StartingProblem)
      .middleware(Authorization)
      .annotateContext(OpenApi.annotations({ title: "Orders", description: "Submit, read, cancel and retry orders" }))
  )
  .add(
    HttpApiGroup.make("service")
      .add(metrics.middleware(Authorization))
      .add(nodes.middleware(Authorization))
      .add(key.middleware(Authorization))
      .add(probe("health", "/health", "Health check", "Answers as long as the process does."))
      .add(probe("live", "/livez", "Liveness probe", "Answers as long as the process does."))
      .add(ready)
      .addError(MisdirectedRequestProblem)
      .addError(StartingProblem)
      .annotateContext(OpenApi.annotations({ title: "Service", description: "Metrics and probes of the service" }))
  )
  .annotateContext(
    OpenApi.annotations({
      title: "Orders",
      version,
      description: "Takes orders, keeps them durably, processes them in the background and shows what became of each.",
      license: { name: "MIT", url: "https://opensource.org/license/mit" },
      // The folder that /openapi.json and /docs are in, so that it fits below the path prefix of a proxy too.
      servers: [{ url: ".", description: "This service" }]
    })
  )
  .annotateContext(mended)
  .annotate(HttpApi.AdditionalSchemas, [OrderEvent, Reset]) {
  /** In place of HttpApi's own 400: `HttpApiDecodeError` stays the error, its wire form is ours. */
  static override readonly errorSchema = Schema.make<HttpApiDecodeError, unknown>(InvalidRequest.ast)
}
