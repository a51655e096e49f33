import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { SqlError } from "@effect/sql/SqlError"
import { Cause, Effect } from "effect"
import { StartupError } from "../../StartupError.ts"
import { damaged } from "./DatabaseCheck.ts"
import { lockSuffix } from "./LockFile.ts"
import { isBusy, isDamage, messageOf, resultCode } from "./SqliteErrors.ts"

const advice = "give the path of a database this service made, or of a new file in a folder it may write to"

export const refuse = (file: string, why: string, what = advice) =>
  new StartupError({ lines: [`DATABASE_URL: ${file}: ${why}: ${what}`] })

/** SQLite reports some effects of a full disk as an I/O error: then the disk is asked. */
const isDiskFull = (file: string, code: string) =>
  /^(SQLITE_FULL|ENOSPC|EDQUOT)/.test(code)
    ? Effect.succeed(true)
    : /^SQLITE_(IOERR|CANTOPEN)/.test(code)
      ? Effect.promise(() => Fs.statfs(Path.dirname(file)).then(({ bavail, bsize }) => bavail * bsize < 1_048_576))
      : Effect.succeed(false)

/** What an error of the system or of SQLite means to the operator who starts the service. */
export const refuseBy = Effect.fnUntraced(function* (file: string, error: unknown) {
  const code = resultCode(error)
  if (yield* isDiskFull(file, code)) {
    return yield* refuse(file, `the disk is full (${messageOf(error)})`, "make room on it, then start again")
  }
  return yield* code.startsWith("SQLITE_IOERR")
    ? refuse(file, `${messageOf(error)} (${code})`, "the disk fails; see the system's log")
    : refuse(file, messageOf(error))
})

/** Whatever goes wrong while a database is opened and set up, as one line. The libraries throw some of it as defects. */
export const orRefuse =
  (file: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, StartupError, R> =>
    Effect.catchAllCause(self, (cause) => {
      const error = Cause.squash(cause)
      if (error instanceof StartupError) return error
      if (isBusy(error)) {
        return new StartupError({
          lines: [`DATABASE_URL: ${file} is being written by another program: wait or stop it`]
        })
      }
      const source = error instanceof SqlError ? error.cause : error
      if (isDamage(error) && !file.endsWith(lockSuffix)) return damaged(file, messageOf(source))
      return refuseBy(file, source)
    })
