import { randomUUID } from "node:crypto"
import * as Reactivity from "@effect/experimental/Reactivity"
import { Effect } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import type { MoveSide, MoveTarget } from "../move/MoveSide.ts"
import { moveAnswerMillis } from "../server/Patience.ts"
import { makeEmpty, openSession } from "../server/ServerMove.ts"
import { orRefuse } from "../server/StartRefusal.ts"
import { clientConfig } from "./MariaDbClient.ts"
import { mariaDbCompiler } from "./MariaDbCompiler.ts"
import { mariaDbDialect } from "./MariaDbDialect.ts"
import { mariaDbDriver } from "./MariaDbSession.ts"
import { checkReady, setUp } from "./SetUp.ts"
import { startAdvice } from "./StartAdvice.ts"

const open = (server: DatabaseServer) =>
  openSession(server.shown, {
    driver: mariaDbDriver({ ...clientConfig(server), answerMillis: moveAnswerMillis }, `orders move ${randomUUID()}`),
    compiler: mariaDbCompiler,
    dialect: mariaDbDialect,
    nextKey: (sql) => sql`
      SELECT GREATEST(last_key, (SELECT COALESCE(max(seq), 0) FROM orders)) + 1 AS next FROM totals`
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
    const session = yield* open(server)
    const { commit, connection, side } = session
    const { sql } = side
    yield* makeEmpty(session, setUp)
    yield* connection.executeRaw("BEGIN", [])
    return {
      ...side,
      generated: [],
      keepingKeys: "",
      begin: (next) => Effect.asVoid(sql`UPDATE totals SET last_key = ${next - 1}`),
      end: Effect.void,
      commit
    } satisfies MoveTarget
  }).pipe(orRefuse(server.shown, startAdvice), Effect.provide(Reactivity.layer))
