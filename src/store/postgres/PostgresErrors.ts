import { SqlError } from "@effect/sql/SqlError"
import { Effect, type ParseResult, Predicate } from "effect"
import { makeLogLimit } from "../../LogLimit.ts"
import { StorageUnavailable } from "../../order/Order.ts"
import { inLine } from "../../Redaction.ts"

const sourceOf = (error: unknown) => (error instanceof SqlError ? error.cause : error)

/** The code by which PostgreSQL (SQLSTATE) or the system names an error, such as `57P01` or `ECONNREFUSED`. */
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

const sqlState = /^[0-9A-Z]{5}$/
/**
 * https://www.postgresql.org/docs/15/errcodes-appendix.html: connections, read-only, refused users, databases that are gone,
 * transactions rolled back, resources, states, operators, the system, the server itself, permissions.
 */
const unavailable = /^(08|25006|28|3D|40|53|55|57|58|XX|42501)/

/** An error without an SQLSTATE is not the server's word on a statement, but that there is no connection to it. */
const isUnavailable = (code: string) => !sqlState.test(code) || unavailable.test(code)

/** The transaction did nothing, through no fault of its own. */
export const isRepeatable = (error: unknown) => /^(40001|40P01)$/.test(errorCode(error))

/** The server takes no writes, though it answers: another one may by now. */
export const isReadOnly = (error: unknown) => errorCode(error) === "25006"

/**
 * What a failed statement means to its caller: the storage's fault is `StorageUnavailable` (and a line in the log, of
 * each code once a minute at most), anything else, such as a broken constraint, is a defect in the statement or its
 * values.
 */
export const makeOrUnavailable = Effect.map(
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
