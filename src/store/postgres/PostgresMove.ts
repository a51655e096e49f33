import { randomUUID } from "node:crypto"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import { makeCompiler } from "@effect/sql-pg/PgClient"
import { Effect, Exit, Logger } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import { checkEmpty } from "../move/EmptyTarget.ts"
import type { MoveSide, MoveTarget } from "../move/MoveSide.ts"
import { orRefuse, refuse } from "../server/StartRefusal.ts"
import { postgresDialect } from "./PostgresDialect.ts"
import { clientConfig } from "./PostgresDriver.ts"
import { postgresDriver } from "./PostgresSession.ts"
import { checkReady, setUp } from "./SetUp.ts"
import { startAdvice } from "./StartAdvice.ts"

const sequence = "pg_get_serial_sequence('orders', 'seq')"

/** A session with the lock, in a transaction that is never committed unless `commit` does it. */
const open = Effect.fnUntraced(function* (server: DatabaseServer, begin: string) {
  const name = `orders move ${randomUUID().slice(0, 8)}`
  const driver = postgresDriver(clientConfig(server, name), name)
  const { connection } = yield* Effect.acquireRelease(driver.open, ({ abort, end, isOpen }, exit) =>
    Exit.isSuccess(exit) && isOpen() ? Effect.promise(end) : Effect.sync(() => abort("given up"))
  )
  const sql = yield* SqlClient.make({
    acquirer: Effect.succeed(connection),
    transactionAcquirer: Effect.dieMessage("It is in a transaction"),
    compiler: makeCompiler(),
    spanAttributes: []
  })
  yield* connection.executeRaw(begin, [])
  const nextKey = Effect.map(
    sql<{ next: number }>`
      SELECT COALESCE(pg_sequence_last_value(${sql.literal(sequence)}::regclass), 0) + 1 AS next`,
    ([row]) => row?.next ?? 1
  )
  return { driver, connection, side: { shown: server.shown, sql, rows: postgresDialect(sql).rows, nextKey } }
})

/** A database to move from, in one state of it. Nothing is written to it. */
export const openSource = (server: DatabaseServer) =>
  Effect.gen(function* () {
    const { side } = yield* open(server, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    yield* checkReady(side.sql, server.shown)
    return side satisfies MoveSide
  }).pipe(orRefuse(server.shown, startAdvice), Effect.provide(Reactivity.layer))

/** A database to move into. Its tables, too, are made in the one transaction in which they are filled. */
export const openTarget = (server: DatabaseServer) =>
  Effect.gen(function* () {
    const { connection, driver, side } = yield* open(server, "BEGIN")
    const { shown, sql } = side
    yield* setUp(sql, shown, true).pipe(
      Effect.provideService(SqlClient.TransactionConnection, [connection, 0]),
      // What it warns of, the start of the service warns of, too.
      Effect.provide(Logger.remove(Logger.defaultLogger))
    )
    yield* checkEmpty(sql, (why, what) => refuse(shown, why, what))
    return {
      ...side,
      generated: [],
      keepingKeys: "OVERRIDING SYSTEM VALUE",
      begin: (next) =>
        // Many codes would make as many versions of the one row of the totals, each of which the next has to go past.
        sql`ALTER TABLE failures DISABLE TRIGGER failures_counted`.pipe(
          Effect.zipRight(sql`SELECT setval(${sql.literal(sequence)}, ${Math.max(1, next - 1)}::bigint, ${next > 1})`),
          Effect.asVoid
        ),
      end: sql`ALTER TABLE failures ENABLE TRIGGER failures_counted`.pipe(
        // The first statements of the service are planned by it.
        Effect.zipRight(sql`ANALYZE orders, pruned, changes, spans, failures`),
        Effect.asVoid
      ),
      commit: driver.commit(connection)
    } satisfies MoveTarget
  }).pipe(orRefuse(server.shown, startAdvice), Effect.provide(Reactivity.layer))
