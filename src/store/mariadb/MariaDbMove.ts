import { randomUUID } from "node:crypto"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import { Effect, Exit, Logger } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import { checkEmpty } from "../move/EmptyTarget.ts"
import type { MoveSide, MoveTarget } from "../move/MoveSide.ts"
import { orRefuse, refuse } from "../server/StartRefusal.ts"
import { clientConfig } from "./MariaDbClient.ts"
import { mariaDbCompiler } from "./MariaDbCompiler.ts"
import { mariaDbDialect } from "./MariaDbDialect.ts"
import { mariaDbDriver } from "./MariaDbSession.ts"
import { checkReady, setUp } from "./SetUp.ts"
import { startAdvice } from "./StartAdvice.ts"

/** More than the rows that are in hand at a time have as JSON. */
const leastPacket = 4 * 1024 * 1024

/** A session with the lock. Its transaction is never committed unless `commit` does it. */
const open = Effect.fnUntraced(function* (server: DatabaseServer) {
  const driver = mariaDbDriver(clientConfig(server), `orders move ${randomUUID()}`)
  const { connection } = yield* Effect.acquireRelease(driver.open, ({ abort, end, isOpen }, exit) =>
    Exit.isSuccess(exit) && isOpen() ? Effect.promise(end) : Effect.sync(() => abort("given up"))
  )
  const sql = yield* SqlClient.make({
    acquirer: Effect.succeed(connection),
    transactionAcquirer: Effect.dieMessage("It is in a transaction"),
    compiler: mariaDbCompiler,
    spanAttributes: []
  })
  const nextKey = Effect.map(
    sql<{ next: number }>`
      SELECT GREATEST(last_key, (SELECT COALESCE(max(seq), 0) FROM orders)) + 1 AS next FROM totals`,
    ([row]) => row?.next ?? 1
  )
  return { driver, connection, side: { shown: server.shown, sql, rows: mariaDbDialect(sql).rows, nextKey } }
})

/** A database to move from, in one state of it. Nothing is written to it. */
export const openSource = (server: DatabaseServer) =>
  Effect.gen(function* () {
    const { connection, side } = yield* open(server)
    yield* checkReady(side.sql, server.shown)
    yield* connection.executeRaw("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", [])
    yield* connection.executeRaw("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", [])
    return side satisfies MoveSide
  }).pipe(orRefuse(server.shown, startAdvice), Effect.provide(Reactivity.layer))

/** A database to move into. Its tables are made before the one transaction in which they are filled, and stay if that fails. */
export const openTarget = (server: DatabaseServer) =>
  Effect.gen(function* () {
    const { connection, driver, side } = yield* open(server)
    const { shown, sql } = side
    yield* setUp(sql, shown, true).pipe(
      Effect.provideService(SqlClient.TransactionConnection, [connection, 0]),
      // What it warns of, the start of the service warns of, too.
      Effect.provide(Logger.remove(Logger.defaultLogger))
    )
    const [most] = yield* sql<{ packet: number }>`SELECT @@session.max_allowed_packet AS packet`
    if (most === undefined || most.packet < leastPacket) {
      return yield* refuse(shown, "max_allowed_packet is too small", `let the server take ${leastPacket} bytes or more`)
    }
    yield* checkEmpty(sql, (why, what) => refuse(shown, why, what))
    yield* connection.executeRaw("BEGIN", [])
    return {
      ...side,
      generated: [],
      keepingKeys: "",
      begin: (next) => Effect.asVoid(sql`UPDATE totals SET last_key = ${next - 1}`),
      end: Effect.void,
      commit: driver.commit(connection)
    } satisfies MoveTarget
  }).pipe(orRefuse(server.shown, startAdvice), Effect.provide(Reactivity.layer))
