import type { HttpClientError } from "@effect/platform/HttpClientError"
import { Data, Duration, Effect, Either, Option, Predicate, Random } from "effect"
import type { Client } from "../api/Client.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import type { NewOrder } from "../order/Order.ts"
import { brokenBy, connectionCode } from "./Failure.ts"

/** What became of handing in one order. `millis` is what its shopper waited, repeats included. */
export type Delivery = Data.TaggedEnum<{
  Acknowledged: { readonly replayed: boolean; readonly millis: number; readonly repeats: number }
  /** It is not stored: every answer said so. */
  Refused: { readonly reason: string; readonly repeats: number }
  /** It may or may not be stored. */
  Unanswered: { readonly reason: string; readonly repeats: number }
}>
export const Delivery = Data.taggedEnum<Delivery>()

interface Judged {
  readonly reason: string
  /** Whether sending it again can do any good. */
  readonly again: boolean
  readonly mayBeStored: boolean
  readonly waitSeconds: number
}

const retryAfterOf = (error: unknown) =>
  Predicate.hasProperty(error, "retry_after") && Predicate.isNumber(error.retry_after) ? error.retry_after : 0

const judgeHttp = (error: HttpClientError): Judged => {
  if (error._tag === "RequestError") {
    const reason = connectionCode(error)
    return { reason, again: true, mayBeStored: reason !== "ECONNREFUSED", waitSeconds: 0 }
  }
  const broken = brokenBy(error)
  if (Option.isSome(broken)) return { reason: broken.value, again: true, mayBeStored: true, waitSeconds: 0 }
  const { headers, status } = error.response
  const again = status >= 500 || status === 429 || status === 408
  const waitSeconds = Number(headers["retry-after"] ?? 0) || 0
  return { reason: `status ${status}`, again, mayBeStored: again, waitSeconds }
}

/** Refusals of the service that pass, and whether the order may have been stored all the same. */
const passing = new Map([
  ["BacklogFull", false],
  ["Draining", false],
  ["Starting", false],
  ["TooManyBytes", false],
  ["TooManyRequests", false],
  ["StorageUnavailable", true],
  ["InternalError", true],
  ["TimeoutException", true],
  ["ParseError", true]
])

const judge = (error: { readonly _tag: string } | HttpClientError): Judged => {
  if (error._tag === "RequestError" || error._tag === "ResponseError") {
    if ("request" in error) return judgeHttp(error)
  }
  const mayBeStored = passing.get(error._tag)
  return {
    reason: error._tag === "HttpApiDecodeError" ? "InvalidRequest" : error._tag,
    again: mayBeStored !== undefined,
    mayBeStored: mayBeStored === true,
    waitSeconds: retryAfterOf(error)
  }
}

/** After how many seconds asking the same once more may help, if it may. */
export const passesAfter = (error: { readonly _tag: string }) => {
  const { again, waitSeconds } = judge(error)
  return again ? waitSeconds : undefined
}

const answerTimeout = "30 seconds"
const longestBackoff = 1000

/**
 * Hands an order in, again and again under its id until it is answered for good or patience is over. Waits as long as
 * the service asks for, or ever longer, and not all shoppers the same time.
 */
export const deliver = Effect.fnUntraced(function* (api: Client, order: NewOrder, patience: Duration.Duration) {
  const now = yield* monotonicMillis
  const begun = now()
  let mayBeStored = false
  for (let repeats = 0; ; repeats++) {
    const answer = yield* api.orders.submit({ payload: order }).pipe(Effect.timeout(answerTimeout), Effect.either)
    const millis = now() - begun
    if (Either.isRight(answer)) {
      return Delivery.Acknowledged({ replayed: answer.right.status !== undefined, millis, repeats })
    }
    const { again, reason, waitSeconds, ...judged } = judge(answer.left)
    mayBeStored ||= judged.mayBeStored
    const backoff = Math.min(100 * 2 ** repeats, longestBackoff)
    const share = yield* Random.next
    const pause = Math.max(waitSeconds * 1000 * (1 + share / 2), (backoff * (1 + share)) / 2)
    if (!again || millis + pause > Duration.toMillis(patience)) {
      return mayBeStored ? Delivery.Unanswered({ reason, repeats }) : Delivery.Refused({ reason, repeats })
    }
    yield* Effect.sleep(pause)
  }
})
