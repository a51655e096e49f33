import { Cause, Effect } from "effect"
import { StartupError } from "../../StartupError.ts"
import { errorCode, messageOf } from "./ServerErrors.ts"
import { LockTaken } from "./Writer.ts"

export const refuse = (shown: string, why: string, what: string) =>
  new StartupError({ lines: [`DATABASE_URL: ${shown}: ${why}: ${what}`] })

/** What the operator can do about an error, by its code. */
export type Advice = ReadonlyArray<readonly [code: RegExp, advice: string]>

/** Of errors between here and a server, whatever it is. */
const onTheWay: Advice = [
  [/^(ECONN|ENOTFOUND|EAI_|ENOENT|EHOST|ENET|ETIMEDOUT)/, "start the server, or correct its host and port"]
]

/** Whatever goes wrong while the database is connected to and set up, as one line. The libraries throw some of it as defects. */
export const orRefuse =
  (shown: string, advice: Advice) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, StartupError, R> =>
    Effect.catchAllCause(self, (cause) => {
      const error = Cause.squash(cause)
      if (error instanceof StartupError) return error
      if (error instanceof LockTaken) return refuse(shown, "in use by another process", "stop that one first")
      const code = errorCode(error)
      const known = [...advice, ...onTheWay].find(([pattern]) => pattern.test(code))
      return refuse(shown, messageOf(error), known?.[1] ?? "see the server's log")
    })
