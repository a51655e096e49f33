import { Schema } from "effect"
import {
  BacklogFull,
  OrderConflict,
  OrderGone,
  OrderNotFound,
  OrderStatusConflict,
  RetryAfter,
  StorageUnavailable
} from "../order/Order.ts"
import { InvalidRequest } from "./InvalidRequest.ts"
import { asProblem, mediaType } from "./Problem.ts"
import { Scope } from "./Scope.ts"

export const OrderNotFoundProblem = asProblem(OrderNotFound, {
  status: 404,
  title: "Order not found",
  detail: () => "Order not found"
})

export const OrderConflictProblem = asProblem(OrderConflict, {
  status: 409,
  title: "Order id already used",
  detail: (error) =>
    `Order ${error.order_id} was accepted before with other content${
      error.fields.length > 0 ? ` (${error.fields.join(", ")})` : ""
    }. Use a new order_id.`
})

export const OrderGoneProblem = asProblem(OrderGone, {
  status: 410,
  title: "Order gone",
  detail: (error) => `Order ${error.order_id} was ${error.order_status} and has been removed after its retention.`
})

export const OrderStatusConflictProblem = asProblem(OrderStatusConflict, {
  status: 409,
  title: "Not possible in this status",
  detail: (error) =>
    `Order ${error.order_id} is ${error.order_status}; this needs it to be ${error.possible.join(" or ")}.`
})

export const BacklogFullProblem = asProblem(BacklogFull, {
  status: 503,
  title: "Backlog full",
  detail: (error) =>
    `Too many orders are waiting; this one was not stored. Send it again in ${error.retry_after} seconds.`
})

export const StorageUnavailableProblem = asProblem(StorageUnavailable, {
  status: 503,
  title: "Storage unavailable",
  detail: () =>
    "The order database is not available. An order sent now may or may not have been stored: " +
    "send it again with the same order_id, which is safe."
})

const described = { detail: Schema.String }
const detail = (error: { readonly detail: string }) => error.detail

export class MalformedRequest extends Schema.TaggedError<MalformedRequest>()("MalformedRequest", described) {}
export const MalformedRequestProblem = asProblem(MalformedRequest, { status: 400, title: "Malformed request", detail })

const unauthorized = {
  missing: "This needs a key: send it as Authorization: Bearer ord_…",
  unknown: "This key is not one of this service.",
  expired: "This key has expired."
}
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  reason: Schema.Literal("missing", "unknown", "expired")
}) {}
export const UnauthorizedProblem = asProblem(Unauthorized, {
  status: 401,
  title: "Unauthorized",
  detail: ({ reason }) => unauthorized[reason]
})

export class InsufficientScope extends Schema.TaggedError<InsufficientScope>()("InsufficientScope", { scope: Scope }) {}
export const InsufficientScopeProblem = asProblem(InsufficientScope, {
  status: 403,
  title: "Insufficient scope",
  detail: ({ scope }) => `This needs a key with the scope ${scope}.`
})

export class TooManyRequests extends Schema.TaggedError<TooManyRequests>()("TooManyRequests", {
  ...described,
  retry_after: RetryAfter
}) {}
export const TooManyRequestsProblem = asProblem(TooManyRequests, { status: 429, title: "Too many requests", detail })

export class ForeignOrigin extends Schema.TaggedError<ForeignOrigin>()("ForeignOrigin", {}) {}
export const ForeignOriginProblem = asProblem(ForeignOrigin, {
  status: 403,
  title: "Foreign origin",
  detail: () =>
    "A page of another origin may neither read nor change anything here. Call the service from the server side, or name " +
    "the origin that this service has for browsers in ALLOWED_ORIGINS."
})

export class MisdirectedRequest extends Schema.TaggedError<MisdirectedRequest>()("MisdirectedRequest", {}) {}
export const MisdirectedRequestProblem = asProblem(MisdirectedRequest, {
  status: 421,
  title: "Misdirected request",
  detail: () =>
    "The Host of the request is not one of this service. It takes localhost, addresses, and the names in ALLOWED_HOSTS."
})

export class WorkerOnly extends Schema.TaggedError<WorkerOnly>()("WorkerOnly", {}) {}
export const WorkerOnlyProblem = asProblem(WorkerOnly, {
  status: 421,
  title: "Takes no orders",
  detail: () =>
    "This node processes orders, and neither takes nor changes them (ROLE=worker): nothing was done. Send the request to a " +
    "node with ROLE=api or ROLE=all."
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

export class HeadersTooLarge extends Schema.TaggedError<HeadersTooLarge>()("HeadersTooLarge", {}) {}
export const HeadersTooLargeProblem = asProblem(HeadersTooLarge, {
  status: 431,
  title: "Headers too large",
  detail: () => "The request's headers are too large."
})

export class RequestTimeout extends Schema.TaggedError<RequestTimeout>()("RequestTimeout", {}) {}
export const RequestTimeoutProblem = asProblem(RequestTimeout, {
  status: 408,
  title: "Request timeout",
  detail: () => "The request did not arrive in time."
})

export class ExpectationFailed extends Schema.TaggedError<ExpectationFailed>()("ExpectationFailed", {}) {}
export const ExpectationFailedProblem = asProblem(ExpectationFailed, {
  status: 417,
  title: "Expectation failed",
  detail: () => "The Expect header asks for something that is not offered."
})

export class DashboardMissing extends Schema.TaggedError<DashboardMissing>()("DashboardMissing", {}) {}
export const DashboardMissingProblem = asProblem(DashboardMissing, {
  status: 404,
  title: "The dashboard is missing",
  detail: () => "Its files are not beside the program: npm run build makes them. Everything else works without them."
})

export class InternalError extends Schema.TaggedError<InternalError>()("InternalError", {}) {}
export const InternalErrorProblem = asProblem(InternalError, {
  status: 500,
  title: "Internal error",
  detail: () => "The service failed on this request. Its log has the cause beside this answer's X-Request-Id."
})

export class Starting extends Schema.TaggedError<Starting>()("Starting", { retry_after: RetryAfter }) {}
export const StartingProblem = asProblem(Starting, {
  status: 503,
  title: "Starting",
  detail: () => "The service is starting or has ended; try again in a second."
})

export class Draining extends Schema.TaggedError<Draining>()("Draining", { retry_after: RetryAfter }) {}
export const DrainingProblem = asProblem(Draining, {
  status: 503,
  title: "Shutting down",
  detail: (error) =>
    `The service is shutting down; nothing was stored. Send the request again in ${error.retry_after} seconds.`
})

export class TooManyStreams extends Schema.TaggedError<TooManyStreams>()("TooManyStreams", {
  limit: Schema.Int.annotations({ description: "How many may be open" }),
  scope: Schema.Literal("client", "service").annotations({
    description: "Whose limit it is: that of a key, or of an address without one; or that of the service"
  }),
  retry_after: RetryAfter
}) {}
export const TooManyStreamsProblem = asProblem(TooManyStreams, {
  status: 503,
  title: "Too many streams",
  detail: ({ limit, retry_after, scope }) =>
    scope === "client"
      ? `This client has ${limit} event streams open, as many as a key, or an address without one, may have. ` +
        "Close one, or ask for single orders with ?wait."
      : `All ${limit} event streams of the service are taken. Ask for single orders with ?wait, ` +
        `or come again in ${retry_after} seconds.`
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

export class TooManyBytes extends Schema.TaggedError<TooManyBytes>()("TooManyBytes", {
  retry_after: RetryAfter
}) {}
export const TooManyBytesProblem = asProblem(TooManyBytes, {
  status: 503,
  title: "Too many bytes in flight",
  detail: (error) =>
    "The bodies of other requests take all the memory there is for them; nothing of this one was stored. " +
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

/** Every problem that the service answers with. */
export const AnyProblem = Schema.Union(
  BacklogFullProblem,
  BodyTooLargeProblem,
  DashboardMissingProblem,
  DrainingProblem,
  ExpectationFailedProblem,
  ForeignOriginProblem,
  HeadersTooLargeProblem,
  InsufficientScopeProblem,
  InternalErrorProblem,
  InvalidRequest,
  MalformedRequestProblem,
  MethodNotAllowedProblem,
  MisdirectedRequestProblem,
  NotReadyProblem,
  OrderConflictProblem,
  OrderGoneProblem,
  OrderNotFoundProblem,
  OrderStatusConflictProblem,
  RequestTimeoutProblem,
  RouteNotFoundProblem,
  StartingProblem,
  StorageUnavailableProblem,
  TooManyBytesProblem,
  TooManyCallsProblem,
  TooManyRequestsProblem,
  TooManyStreamsProblem,
  UnauthorizedProblem,
  UnsupportedMediaTypeProblem,
  WorkerOnlyProblem
)
export type AnyProblem = typeof AnyProblem.Type
export const isProblem = Schema.is(AnyProblem)
const encode = Schema.encodeSync(AnyProblem)

/** How to authenticate, by RFC 6750, 3: nothing more than that where no key was sent. */
const challengeOf = (problem: AnyProblem) => {
  const bearer = 'Bearer realm="orders"'
  if (problem._tag === "InsufficientScope") return `${bearer}, error="insufficient_scope", scope="${problem.scope}"`
  if (problem._tag !== "Unauthorized") return undefined
  return problem.reason === "missing" ? bearer : `${bearer}, error="invalid_token"`
}

/**
 * A problem as it goes out, from a handler or a raw socket: with `Retry-After` if it says how long to wait, and
 * `WWW-Authenticate` if it asks for a key.
 */
export const answerOf = (problem: AnyProblem) => {
  const body = encode(problem)
  const challenge = challengeOf(problem)
  return {
    status: body.status,
    headers: {
      "content-type": mediaType,
      ...("retry_after" in body ? { "retry-after": String(body.retry_after) } : undefined),
      ...("allow" in body ? { allow: body.allow.join(", ") } : undefined),
      ...(challenge === undefined ? undefined : { "www-authenticate": challenge })
    },
    text: JSON.stringify(body)
  }
}
