import { SqlError } from "@effect/sql/SqlError"
import { Effect, type ParseResult, Predicate } from "effect"
import { makeLogLimit } from "../../LogLimit.ts"
import { StorageUnavailable } from "../../order/Order.ts"
import { inLine } from "../../Redaction.ts"

/** The result code by which SQLite names an error, such as `SQLITE_FULL`. */
export const resultCode = (error: unknown): string =>
  Predicate.hasProperty(error, "code") && Predicate.isString(error.code) ? error.code : ""

/** SQLite found that what it read is not a sound database. */
export const isDamage = (error: unknown) =>
  /^SQLITE_(CORRUPT|NOTADB)/.test(resultCode(error instanceof SqlError ? error.cause : error))

/** What an error says, in one line. SQLite names in it what a file has chosen the names of. */
export const messageOf = (error: unknown) => inLine(error instanceof Error ? error.message : String(error))

const busy = /^SQLITE_(BUSY|LOCKED)/
const unavailable =
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB|NOMEM|PERM|AUTH|PROTOCOL|NOLFS|INTERRUPT)/

export const isBusy = (error: unknown) => error instanceof SqlError && busy.test(resultCode(error.cause))

/**
 * What a failed statement means to its caller: the storage's fault is `StorageUnavailable` (and a line in the log, of
 * each code once a minute at most), anything else, such as a broken constraint, is a defect in the statement or its
 * values.
 */
export const makeOrUnavailable = Effect.map(
  makeLogLimit,
  (limited) =>
    <A, R>(self: Effect.Effect<A, SqlError | ParseResult.ParseError, R>): Effect.Effect<A, StorageUnavailable, R> =>
      Effect.catchAll(self, (error) => {
        const code = error._tag === "SqlError" ? resultCode(error.cause) : ""
        if (!unavailable.test(code)) return Effect.die(error)
        return Effect.zipRight(
          limited(code, Effect.logWarning(`Storage unavailable: ${code}: ${messageOf(error.cause)}`)),
          new StorageUnavailable({})
        )
      })
)
