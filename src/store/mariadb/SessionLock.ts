import type { Connection } from "@effect/sql/SqlConnection"
import { Effect, Schema } from "effect"
import { formerSession, LockTaken } from "../server/Writer.ts"

/** Of the database: two services may use two databases of a server. */
const lock = "CONCAT('orders ', MD5(IF(@@lower_case_table_names = 0, DATABASE(), LOWER(DATABASE()))))"

const Taken = Schema.Tuple(Schema.Struct({ taken: Schema.NullOr(Schema.Int) }))
const Holder = Schema.Tuple(Schema.Struct({ session: Schema.NullOr(Schema.Int) }))

/** Whether a session has the lock. */
export const isLocked = (connection: Connection) =>
  Effect.map(
    Effect.flatMap(
      connection.execute(`SELECT IS_USED_LOCK(${lock}) AS session`, [], undefined),
      Schema.decodeUnknown(Holder)
    ),
    ([{ session }]) => session !== null
  )

/**
 * Takes the lock that one service has on its tables, for as long as this session lives. A former session of the same
 * process that still lives is ended; while the server cannot end it, as in the midst of a COMMIT, nobody can tell what it
 * writes.
 *
 * @param own the name of a second lock, which a session of this process has from before it takes the first
 */
export const takeLock = Effect.fnUntraced(function* (connection: Connection, own: string) {
  const ask = (text: string) => connection.execute(text, [], undefined)
  const take = (name: string) =>
    Effect.map(
      Effect.flatMap(ask(`SELECT GET_LOCK(${name}, 0) AS taken`), Schema.decodeUnknown(Taken)),
      ([{ taken }]) => taken === 1
    )
  const ownLock = `'${own}'`
  const former = Effect.flatMap(ask(`SELECT IS_USED_LOCK(${ownLock}) AS session`), Schema.decodeUnknown(Holder))

  let isAlone = false
  let killed: number | null = null
  for (let tries = 0; tries < 30; tries++) {
    isAlone ||= yield* take(ownLock)
    if (isAlone) {
      if (yield* take(lock)) return
    } else {
      const [{ session }] = yield* former
      // It may have ended by now. To end one that cannot be ended takes the server a second, each time.
      if (session !== null && session !== killed) yield* Effect.ignore(ask(`KILL ${session}`))
      killed = session
    }
    // The session of a process that was killed ends within moments.
    yield* Effect.sleep("100 millis")
  }
  return yield* isAlone ? new LockTaken() : formerSession
})
