import type { Connection } from "@effect/sql/SqlConnection"
import { Effect, Schema } from "effect"

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
 * Takes the lock that one service has on its tables, for as long as this session lives: whether it was free. One that a
 * former session of the same process still has, because the server did not notice its end, is taken from it.
 *
 * @param own the name of a second lock, by which the sessions of this process are known
 */
export const takeLock = Effect.fnUntraced(function* (connection: Connection, own: string) {
  const ask = (text: string) => connection.execute(text, [], undefined)
  const take = (name: string) =>
    Effect.map(
      Effect.flatMap(ask(`SELECT GET_LOCK(${name}, 0) AS taken`), Schema.decodeUnknown(Taken)),
      ([{ taken }]) => taken === 1
    )
  const ownLock = `'${own}'`
  const former = Effect.flatMap(
    ask(`SELECT IF(IS_USED_LOCK(${lock}) = IS_USED_LOCK(${ownLock}), IS_USED_LOCK(${lock}), NULL) AS session`),
    Schema.decodeUnknown(Holder)
  )

  for (let tries = 0; tries < 30; tries++) {
    if (yield* take(lock)) {
      yield* take(ownLock)
      return true
    }
    const [{ session }] = yield* former
    // It may have ended by now.
    if (session !== null) yield* Effect.ignore(ask(`KILL ${session}`))
    // The session of a process that was killed ends within moments.
    yield* Effect.sleep("100 millis")
  }
  return false
})
