import { createHash } from "node:crypto"
import { Cause, Data, type Duration, Either, Exit, Inspectable, Option } from "effect"
import { isDeeperThan, maxDepth } from "../Json.ts"
import { maxErrorCode } from "../order/Order.ts"
import type { Verdict } from "./Breaker.ts"
import { maxResult, Permanent, Retryable, Unavailable } from "./OrderProcessor.ts"

const maxMessageBytes = 1024

/** `ATTEMPT_TIMEOUT` is over. */
export class TimedOut extends Data.TaggedError("TimedOut")<{ readonly message: string }> {}

export interface AttemptFailure {
  readonly code: string
  readonly message: string
  readonly verdict: Verdict
  /** Whether another attempt may help, not before `delay`. */
  readonly retry: boolean
  readonly delay?: Duration.Duration | undefined
}

const failure = (cause: Cause.Cause<unknown>): AttemptFailure => {
  const error = Cause.squash(cause)
  if (Cause.isInterruptedOnly(cause)) {
    return { code: "interrupted", message: "The processor interrupted itself", verdict: "unknown", retry: true }
  }
  if (error instanceof TimedOut) return { code: "timeout", message: error.message, verdict: "unknown", retry: true }
  if (error instanceof Permanent) {
    return { code: error.code, message: error.message, verdict: "available", retry: false }
  }
  if (error instanceof Retryable) {
    const { code = "retryable", delay, message } = error
    return { code, message, verdict: "available", retry: true, delay }
  }
  if (error instanceof Unavailable) {
    const { code = "unavailable", delay, message, unreachable = false } = error
    return { code, message, verdict: unreachable ? "unreachable" : "unavailable", retry: true, delay }
  }
  const message = error instanceof Error ? error.message : Inspectable.toStringUnknown(error)
  return { code: "defect", message, verdict: "unknown", retry: true }
}

/** At most so many bytes of UTF-8, without half a character at the end or lone surrogates. */
const cut = (text: string, bytes: number) =>
  new TextDecoder().decode(Buffer.from(text.slice(0, bytes)).subarray(0, bytes), { stream: true })

const digestCharacters = 16

/**
 * A code is shown to people in logs and lists, so it has nothing that moves the cursor, turns letters round or is not
 * seen, no half a character, and an end. One that had to be changed for that ends in a digest of what was given, so that
 * no two codes become one.
 */
const cleanCode = (code: string) => {
  const clean = code.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd").replaceAll(/\p{Cs}/gu, "")
  if (clean === code && code !== "" && code.length <= maxErrorCode) return code
  const digest = createHash("sha256").update(Buffer.from(code, "utf16le")).digest("hex").slice(0, digestCharacters)
  const kept = clean.slice(0, maxErrorCode - digestCharacters - 1).replaceAll(/\p{Cs}/gu, "")
  return `${kept}~${digest}`
}

const limited = (failure: AttemptFailure): AttemptFailure => ({
  ...failure,
  code: cleanCode(failure.code),
  message: cut(failure.message, maxMessageBytes)
})

const invalidResult = (message: string): AttemptFailure => ({
  code: "invalid_result",
  message: `The processor's result ${message}`,
  verdict: "available",
  retry: false
})

/** The result as JSON would bring it back, so that what is kept is what was given. */
const resultOf = (value: unknown): Either.Either<Option.Option<unknown>, AttemptFailure> => {
  if (value === undefined) return Either.right(Option.none())
  const json = Option.flatMapNullable(Option.liftThrowable(JSON.stringify)(value), (json) => json)
  if (Option.isNone(json)) return Either.left(invalidResult("is not JSON"))
  if (json.value.length > maxResult) {
    return Either.left(invalidResult(`has more than ${maxResult} characters of JSON`))
  }
  const result: unknown = JSON.parse(json.value)
  return isDeeperThan(result, maxDepth)
    ? Either.left(invalidResult(`is nested deeper than ${maxDepth} levels`))
    : Either.right(Option.some(result))
}

/** What the end of an attempt means: the result to keep, if there is one, or what went wrong. */
export const resultOrFailure = (
  exit: Exit.Exit<unknown, unknown>
): Either.Either<Option.Option<unknown>, AttemptFailure> =>
  Exit.match(exit, { onFailure: (cause) => Either.left(limited(failure(cause))), onSuccess: resultOf })
