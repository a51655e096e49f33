import { randomUUID } from "node:crypto"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import { Context, Effect, Layer, Option } from "effect"
import { AppConfig } from "../../AppConfig.ts"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import { orRefuse } from "../server/StartRefusal.ts"
import { makeWriter, ServerWriter } from "../server/Writer.ts"
import { clientConfig } from "./MariaDbClient.ts"
import { mariaDbCompiler } from "./MariaDbCompiler.ts"
import { mariaDbDriver } from "./MariaDbSession.ts"
import { makeReaders } from "./Readers.ts"
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
      const config = clientConfig(server)
      const writer = yield* makeWriter(mariaDbDriver(config, `orders ${randomUUID()}`))
      const sql = yield* SqlClient.make({
        acquirer: Effect.succeed(yield* makeReaders(config, readers)),
        transactionAcquirer: Effect.dieMessage("Only the writer makes transactions"),
        compiler: mariaDbCompiler,
        spanAttributes: [
          ["db.system.name", "mariadb"],
          ["db.namespace", server.database],
          ["server.address", server.host],
          ["server.port", server.port]
        ]
      })
      yield* writer.transaction(setUp(sql, server.shown, Option.isSome(history)))
      return Context.make(SqlClient.SqlClient, sql).pipe(Context.add(ServerWriter, writer))
    }).pipe(orRefuse(server.shown, startAdvice))
  ).pipe(Layer.provide(Reactivity.layer))
