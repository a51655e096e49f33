import { Cause, Effect } from "effect"
import { StartupError } from "../../StartupError.ts"
import { errorCode, messageOf } from "./PostgresErrors.ts"
import { LockTaken } from "./Writer.ts"

export const refuse = (shown: string, why: string, what: string) =>
  new StartupError({ lines: [`DATABASE_URL: ${shown}: ${why}: ${what}`] })

/** What the operator can do about an error, by its code. */
const advice: ReadonlyArray<readonly [code: RegExp, advice: string]> = [
  [/^28/, "correct the user or the password, or what pg_hba.conf says of them"],
  [/^3D000/, "create it with createdb, or correct its name"],
  [/^42501/, "let the user create tables in the schema, as by CREATE DATABASE .. OWNER"],
  [/^53300/, "let the server take more connections (max_connections), or end others"],
  [/^(53|58)/, "see to the server's disk and memory, then start again"],
  [/^57P03/, "the server starts or ends: wait for it"],
  [/^(ECONN|ENOTFOUND|EAI_|ENOENT|EHOST|ENET|ETIMEDOUT)/, "start the server, or correct its host and port"],
  [/CERT|^ERR_TLS/, "give the certificate of the server's authority in sslrootcert, or correct the host"]
]

/** Whatever goes wrong while the database is connected to and set up, as one line. The libraries throw some of it as defects. */
export const orRefuse =
  (shown: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, StartupError, R> =>
    Effect.catchAllCause(self, (cause) => {
      const error = Cause.squash(cause)
      if (error instanceof StartupError) return error
      if (error instanceof LockTaken) return refuse(shown, "in use by another process", "stop that one first")
      const code = errorCode(error)
      const [, what = "see the server's log"] = advice.find(([pattern]) => pattern.test(code)) ?? []
      return refuse(shown, messageOf(error), what)
    })
