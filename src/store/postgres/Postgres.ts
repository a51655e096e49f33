import { randomUUID } from "node:crypto"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import { makeCompiler } from "@effect/sql-pg/PgClient"
import { Context, Effect, Layer, Option } from "effect"
import { AppConfig } from "../../AppConfig.ts"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import { orRefuse } from "../server/StartRefusal.ts"
import { makeWriter, ServerWriter } from "../server/Writer.ts"
import { clientConfig, connectionOfPool, makePool } from "./PostgresDriver.ts"
import { postgresDriver } from "./PostgresSession.ts"
import { setUp } from "./SetUp.ts"
import { startAdvice } from "./StartAdvice.ts"

/** Connections that read: as many as one service keeps busy beside the one that writes. */
const readers = 4

/**
 * The SQL client, ready for use: the database locked against other processes, and migrated. Statements of a transaction of the
 * writer run on its connection, all others on connections that only read. What cannot be used is a `StartupError` of one
 * line.
 */
export const sqlLive = (server: DatabaseServer) =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const { history } = yield* AppConfig
      const name = `orders ${randomUUID().slice(0, 8)}`
      const config = clientConfig(server, name)
      const writer = yield* makeWriter(postgresDriver(config, name))
      const pool = yield* makePool(config, readers)
      const sql = yield* SqlClient.make({
        acquirer: Effect.succeed(connectionOfPool(pool)),
        transactionAcquirer: Effect.dieMessage("Only the writer makes transactions"),
        compiler: makeCompiler(),
        spanAttributes: [
          ["db.system.name", "postgresql"],
          ["db.namespace", server.database],
          ["server.address", server.host],
          ["server.port", server.port]
        ]
      })
      yield* writer.transaction(setUp(sql, server.shown, Option.isSome(history)))
      return Context.make(SqlClient.SqlClient, sql).pipe(Context.add(ServerWriter, writer))
    }).pipe(orRefuse(server.shown, startAdvice))
  ).pipe(Layer.provide(Reactivity.layer))
