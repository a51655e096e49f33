import { SqlError } from "@effect/sql/SqlError"
import { Effect, type ParseResult, Predicate } from "effect"
import { makeLogLimit } from "../../LogLimit.ts"
import { StorageUnavailable } from "../../order/Order.ts"
import { inLine } from "../../Redaction.ts"

/** What the codes of a database's errors mean. */
export interface ServerErrors {
  /** The server, or the way to it, is at fault, and not the statement or its values. */
  readonly isUnavailable: (code: string) => boolean
  /** The transaction did nothing, through no fault of its own. */
  readonly isRepeatable: (code: string) => boolean
  /** The server takes no writes, though it answers: another one may by now. */
  readonly isReadOnly: (code: string) => boolean
}

const sourceOf = (error: unknown) => (error instanceof SqlError ? error.cause : error)

/** The code by which the database or the system names an error, such as `57P01`, `ER_LOCK_DEADLOCK` or `ECONNREFUSED`. */
export const errorCode = (error: unknown): string => {
  const source = sourceOf(error)
  return Predicate.hasProperty(source, "code") && Predicate.isString(source.code) ? source.code : ""
}

/** What an error says, in one line. Of a host with several addresses, what the first says. */
export const messageOf = (error: unknown): string => {
  const source = sourceOf(error)
  if (source instanceof AggregateError && source.errors.length > 0) return messageOf(source.errors[0])
  return inLine(source instanceof Error ? source.message : String(source))
}

/**
 * What a failed statement means to its caller: the storage's fault is `StorageUnavailable` (and a line in the log, of
 * each code once a minute at most), anything else, such as a broken constraint, is a defect in the statement or its
 * values.
 */
export const makeOrUnavailable = ({ isUnavailable }: ServerErrors) =>
  Effect.map(
    makeLogLimit,
    (limited) =>
      <A, R>(
        self: Effect.Effect<A, SqlError | ParseResult.ParseError | StorageUnavailable, R>
      ): Effect.Effect<A, StorageUnavailable, R> =>
        Effect.catchAll(self, (error) => {
          if (error._tag === "StorageUnavailable") return error
          if (error._tag !== "SqlError") return Effect.die(error)
          const code = errorCode(error)
          if (!isUnavailable(code)) return Effect.die(error)
          const what = code === "" ? messageOf(error) : `${code}: ${messageOf(error)}`
          return Effect.zipRight(
            limited(code, Effect.logWarning(`Storage unavailable: ${what}`)),
            new StorageUnavailable({})
          )
        })
  )
