import type * as SqlClient from "@effect/sql/SqlClient"
import { Clock, Effect } from "effect"
import { refuse } from "../server/StartRefusal.ts"
import { setUp } from "./SetUp.ts"

/** By how many seconds a node's clock may differ from the server's: times that a node gives are to mean the same to all. */
const mostSeconds = 10

const checkClock = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, shown: string) {
  const before = yield* Clock.currentTimeMillis
  const [row] = yield* sql<{ now: number }>`SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now`
  const after = yield* Clock.currentTimeMillis
  const off = row === undefined ? 0 : Math.max(row.now - after, before - row.now)
  if (off <= mostSeconds * 1000) return
  return yield* refuse(
    shown,
    `its clock and this node's are ${Math.round(off / 1000)} s apart`,
    `set both right: ${mostSeconds} s are the most that nodes may differ`
  )
})

/** As for one process, but one node after the other: whichever comes first makes the tables. */
export const nodesSetUp: typeof setUp = (sql, shown, isHistoryKept) =>
  Effect.gen(function* () {
    yield* sql`SELECT pg_advisory_xact_lock(1330791507, hashtext(COALESCE(current_schema(), '')))`
    yield* checkClock(sql, shown)
    yield* setUp(sql, shown, isHistoryKept)
  })
