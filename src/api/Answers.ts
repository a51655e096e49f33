import { Schema } from "effect"
import { JsonTime, Order, OrderIdJson, RetryAfter, Status } from "../order/Order.ts"
import { Change } from "./Change.ts"
import { ChangeId, Cursor } from "./Filters.ts"
import { Fault } from "./InvalidRequest.ts"
import { Reset } from "./OrderEvent.ts"
import { Scope } from "./Scope.ts"

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
  description:
    "Of what the nodes that live have done since their start, interpolated in a histogram; 0 before the first"
})
const PerSecond = Schema.NonNegative.annotations({
  identifier: "PerSecond",
  description: "Mean of the last 60 seconds, or since the start of the node that is asked where that is less"
})

/** Newest first. `next_cursor` is absent on the last page, and only there: a page may have fewer orders than asked for. */
export class OrderList extends Schema.Class<OrderList>("OrderList")({
  orders: Schema.Array(Order.json.annotations({ identifier: "Order" })),
  next_cursor: Schema.optional(Cursor)
}) {}

const NextChange = ChangeId.annotations({ jsonSchema: { type: "string", description: "The `after` of what follows" } })

/** Changes of one order, oldest first. `next` is absent when there are no more; else it is the `after` of what follows. */
export class OrderHistory extends Schema.Class<OrderHistory>("OrderHistory")({
  changes: Schema.Array(Change),
  next: Schema.optional(NextChange)
}) {}

/**
 * Changes, oldest first; `next` is the `after` of what follows, be it there yet or not. `reset` says that some changes behind
 * the `after` that was asked for are not kept any more.
 */
export class Changes extends Schema.Class<Changes>("Changes")({
  changes: Schema.Array(Change),
  next: NextChange,
  reset: Schema.optional(Reset)
}) {}

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

const BreakerState = Schema.Struct({
  state: Schema.Literal("closed", "open", "half_open"),
  failures_in_a_row: Count,
  last_error_code: Schema.OptionFromNullOr(Schema.String),
  opened_at: Schema.OptionFromNullOr(JsonTime),
  next_probe_at: Schema.OptionFromNullOr(JsonTime)
}).annotations({
  identifier: "Breaker",
  description: "While it is open the processor is at fault: orders wait, and one is tried at times (half_open)"
})

/**
 * For all nodes, whichever is asked. All-time counts survive a restart; percentiles and rates begin with the process. What
 * is known of the other nodes is a second old.
 */
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
  queue_depth: Count.annotations({
    description:
      "Orders that are due and wait for a worker: those in the queue of one process, up to 1,000 of several nodes"
  }),
  queue_capacity: Count,
  workers: Count.annotations({ description: "Of the nodes that live" }),
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
  breaker: BreakerState.annotations({ description: "That of the node which is the worst off, if there are several" })
}) {}

/** The nodes that share the orders, the one that was started first before the others. */
export class NodeList extends Schema.Class<NodeList>("NodeList")({
  nodes: Schema.Array(
    Schema.Struct({
      name: Schema.String.annotations({ description: "Of its host, its process, and this start of it" }),
      role: Schema.String.annotations({ description: "`ROLE`: `all`, `api` or `worker`" }),
      version: Schema.String,
      since: JsonTime,
      heard_at: JsonTime,
      alive: Schema.Boolean.annotations({
        description: "Whether it was heard of within ten seconds; what is said of one that is gone was so before"
      }),
      workers: Count,
      workers_busy: Count,
      breaker: BreakerState
    }).annotations({ identifier: "Node" })
  ).annotations({ description: "Those that were heard of within an hour, unless they ended in order" })
}) {}

/** The key that a request was sent with. Without keys `name` is null, and all scopes are there. */
export class KeyInfo extends Schema.Class<KeyInfo>("KeyInfo")({
  name: Schema.OptionFromNullOr(Schema.String),
  scopes: Schema.Array(Scope),
  expires_at: Schema.OptionFromNullOr(JsonTime)
}) {}

export const Ok = Schema.Struct({ status: Schema.Literal("ok") }).annotations({ identifier: "Ok" })

/** Ready; with `verbose`, what was looked at. An open breaker keeps no order from being accepted. */
export const Ready = Schema.Struct({
  status: Schema.Literal("ok"),
  checks: Schema.optional(
    Schema.Struct({ writes: Schema.Literal("ok"), reads: Schema.Literal("ok"), breaker: BreakerState })
  )
}).annotations({ identifier: "Ready" })

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
