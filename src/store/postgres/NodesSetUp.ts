import type * as SqlClient from "@effect/sql/SqlClient"
import { Clock, Effect, Option } from "effect"
import type * as Pg from "pg"
import { refuse } from "../server/StartRefusal.ts"
import { applied, hideChanges, latestOf } from "../server/Tables.ts"
import { OtherVersion } from "../server/Writer.ts"
import { engineTables, engineTablesIn, makeEngineTables } from "./EngineTables.ts"
import { migrations } from "./Migrations.ts"
import { serverMillis } from "./ServerClock.ts"
import { countOthers, takeSetUpLock } from "./SessionLock.ts"
import { present, setUp } from "./SetUp.ts"

/** By how many seconds a node's clock may differ from the server's: times that a node gives are to mean the same to all. */
const mostSeconds = 10

const checkClock = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, shown: string) {
  const before = yield* Clock.currentTimeMillis
  const [row] = yield* sql<{ now: number }>`SELECT ${sql.literal(serverMillis)} AS now`
  const after = yield* Clock.currentTimeMillis
  const off = row === undefined ? 0 : Math.max(row.now - after, before - row.now)
  if (off <= mostSeconds * 1000) return
  return yield* refuse(
    shown,
    `its clock and this node's are ${Math.round(off / 1000)} s apart`,
    `set both right: ${mostSeconds} s are the most that nodes may differ`
  )
})

/** Whether nothing else uses the tables, or does not within three seconds: a node that ends takes moments for it. */
const isAlone = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const others = Effect.map(sql.unsafe<{ others: number }>(countOthers), ([row]) => row?.others ?? 0)
  for (let tries = 0; tries < 30; tries++) {
    if ((yield* others) === 0) return true
    yield* Effect.sleep("100 millis")
  }
  return false
})

const latest = latestOf(migrations)

/** The versions of our tables and of the engine's, and how they compare with those that this version works with. */
const lookAtTables = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const isThere = (yield* present(sql)).includes("effect_sql_migrations")
  const own = isThere ? Option.some(yield* applied(sql)) : Option.none()
  const engine = yield* engineTablesIn(sql)
  const isOlder = Option.exists(own, (is) => is < latest) || Option.exists(engine.version, (is) => is < engineTables)
  const isNewer = Option.exists(own, (is) => is > latest) || Option.exists(engine.version, (is) => is > engineTables)
  return { engine, isOlder, isNewer }
})

/**
 * As for one process, but one node after the other: whichever comes first makes the tables, and the engine's. Where other
 * nodes are at work, a version that would have to change them is refused.
 */
export const nodesSetUp =
  (config: Pg.ClientConfig): typeof setUp =>
  (sql, shown, isHistoryKept) =>
    Effect.gen(function* () {
      yield* sql.unsafe(takeSetUpLock)
      yield* sql`SELECT set_config('idle_in_transaction_session_timeout', '0', true)`
      yield* checkClock(sql, shown)
      const { engine, isNewer, isOlder } = yield* lookAtTables(sql)
      if (isNewer) return yield* refuse(shown, "a database of a newer version of this service", "start that version")
      if (isOlder && !(yield* isAlone(sql))) {
        return yield* refuse(
          shown,
          "nodes of an older version use its tables, which this version has to change",
          "stop all of them, then start this version"
        )
      }
      yield* setUp(sql, shown, true)
      if (!Option.contains(engine.version, engineTables)) yield* makeEngineTables(config, engine.schema)
      // Other nodes may not have read the last changes yet: those that are kept for them go by and by.
      if (!isHistoryKept) yield* hideChanges(sql)
    })

/** Fails where another version has changed the tables while this node had no session. It waits for one that is about to. */
export const refuseOtherVersion = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  yield* sql.unsafe(takeSetUpLock)
  const { isNewer } = yield* lookAtTables(sql)
  if (isNewer) return yield* new OtherVersion()
})
