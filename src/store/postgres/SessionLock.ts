import type { Connection } from "@effect/sql/SqlConnection"
import { Effect, Schema } from "effect"
import { formerSession, LockTaken } from "../server/Writer.ts"

const ofSchema = "hashtext(COALESCE(current_schema(), ''))"
/** "ORDR" and the schema: two services may use two schemas of one database. */
const key = `1330791506, ${ofSchema}`
/** "ORDS": whoever makes or changes the tables. */
const setUpKey = `1330791507, ${ofSchema}`
/** "ORDT": the node that removes what they keep for each other. */
const trimKey = `1330791508, ${ofSchema}`

const Taken = Schema.Array(Schema.Struct({ taken: Schema.Boolean }))
const Holders = Schema.Array(Schema.Struct({ pid: Schema.Int, application_name: Schema.NullOr(Schema.String) }))

const isLock = (classid: number) => `
  locktype = 'advisory' AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = ${classid} AND objid = (${ofSchema}::bigint & 4294967295)::oid`

const holders = `
  SELECT pg_locks.pid, application_name
  FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
  WHERE granted AND ${isLock(1330791506)}`

/** Until the transaction ends no other session has this, which must be had to make or change the tables. */
export const takeSetUpLock = `SELECT pg_advisory_xact_lock(${setUpKey})`

/** Whether no other session has this until the transaction ends. */
export const tryTrimLock = `pg_try_advisory_xact_lock(${trimKey})`

/** How many other sessions have the lock of the tables. One that waits to look at them has not begun to use them. */
export const countOthers = `
  SELECT count(DISTINCT pid)::integer AS others
  FROM pg_locks
  WHERE
    granted AND pid <> pg_backend_pid() AND ${isLock(1330791506)}
    AND pid NOT IN (SELECT pid FROM pg_locks WHERE NOT granted AND ${isLock(1330791507)})`

const findHolders = (connection: Connection) =>
  Effect.flatMap(connection.execute(holders, [], undefined), Schema.decodeUnknown(Holders))

/** Whether a process has the lock. */
export const isLocked = (connection: Connection) => Effect.map(findHolders(connection), (found) => found.length > 0)

/**
 * Takes the lock that one service has on its tables, or the nodes of one share, for as long as this session lives. A
 * former session of the same name that still has it is ended; while the server cannot end it, as in the midst of a COMMIT,
 * nobody can tell what it writes.
 */
export const takeLock = Effect.fnUntraced(function* (connection: Connection, name: string, isShared: boolean) {
  const ask = (text: string) => connection.execute(text, [], undefined)
  const attempt = Effect.flatMap(
    ask(`SELECT pg_try_advisory_lock${isShared ? "_shared" : ""}(${key}) AS taken`),
    Schema.decodeUnknown(Taken)
  ).pipe(Effect.map((rows) => rows.some(({ taken }) => taken)))

  let isOther = false
  for (let tries = 0; tries < 30; tries++) {
    if (yield* attempt) return
    const found = yield* findHolders(connection)
    isOther = found.some(({ application_name }) => application_name !== name)
    for (const { application_name, pid } of found) {
      if (application_name === name) yield* ask(`SELECT pg_terminate_backend(${pid})`)
    }
    // The session of a process that was killed ends within moments.
    yield* Effect.sleep("100 millis")
  }
  return yield* isOther ? new LockTaken() : formerSession
})
