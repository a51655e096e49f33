import { randomUUID } from "node:crypto"
import * as Reactivity from "@effect/experimental/Reactivity"
import { Effect } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import type { MoveSide, MoveTarget } from "../move/MoveSide.ts"
import { moveAnswerMillis } from "../server/Patience.ts"
import { makeEmpty, openSession } from "../server/ServerMove.ts"
import { orRefuse } from "../server/StartRefusal.ts"
import { postgresCompiler } from "./PostgresCompiler.ts"
import { postgresDialect } from "./PostgresDialect.ts"
import { clientConfig } from "./PostgresDriver.ts"
import { postgresDriver } from "./PostgresSession.ts"
import { checkReady, setUp } from "./SetUp.ts"
import { startAdvice } from "./StartAdvice.ts"

const sequence = "pg_get_serial_sequence('orders', 'seq')"

const open = Effect.fnUntraced(function* (server: DatabaseServer, begin: string) {
  const name = `orders move ${randomUUID().slice(0, 8)}`
  const session = yield* openSession(server.shown, {
    driver: postgresDriver({ ...clientConfig(server, name), answerMillis: moveAnswerMillis }, name, false),
    compiler: postgresCompiler,
    dialect: postgresDialect,
    nextKey: (sql) => sql`
      SELECT COALESCE(pg_sequence_last_value(${sql.literal(sequence)}::regclass), 0) + 1 AS next`
  })
  yield* session.connection.executeRaw(begin, [])
  return session
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
    const session = yield* open(server, "BEGIN")
    const { commit, side } = session
    const { sql } = side
    yield* makeEmpty(session, setUp)
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
      commit
    } satisfies MoveTarget
  }).pipe(orRefuse(server.shown, startAdvice), Effect.provide(Reactivity.layer))
