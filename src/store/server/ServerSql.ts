import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { Compiler } from "@effect/sql/Statement"
import { Context, Effect, Layer, Option, type Scope } from "effect"
import { AppConfig } from "../../AppConfig.ts"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import { type Advice, orRefuse } from "./StartRefusal.ts"
import { makeWriter, ServerWriter, type WriterDriver } from "./Writer.ts"

/** A client of one session, all of whose statements are of one transaction that was begun already. */
export const sqlOfSession = (connection: Connection, compiler: Compiler) =>
  SqlClient.make({
    acquirer: Effect.succeed(connection),
    transactionAcquirer: Effect.dieMessage("It is in a transaction"),
    compiler,
    spanAttributes: []
  })

/** Connections that read: as many as one service keeps busy beside the one that writes. */
export const readers = 4

/** How a kind of server is connected to. */
interface Connections<E> {
  /** The name of its kind in spans. */
  readonly system: string
  readonly compiler: Compiler
  readonly writer: WriterDriver
  readonly reading: Effect.Effect<Connection, E, Scope.Scope>
}

/**
 * The SQL client, ready for use: the database locked against other processes, and migrated. Statements of a transaction of the
 * writer run on its connection, all others on connections that only read. What cannot be used is a `StartupError` of one
 * line.
 */
export const layer = <E, E2>(
  server: DatabaseServer,
  connections: Effect.Effect<Connections<E>>,
  setUp: (sql: SqlClient.SqlClient, shown: string, isHistoryKept: boolean) => Effect.Effect<void, E2>,
  advice: Advice
) =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const { history } = yield* AppConfig
      const { compiler, reading, system, writer: driver } = yield* connections
      const writer = yield* makeWriter(driver)
      const sql = yield* SqlClient.make({
        acquirer: Effect.succeed(yield* reading),
        transactionAcquirer: Effect.dieMessage("Only the writer makes transactions"),
        compiler,
        spanAttributes: [
          ["db.system.name", system],
          ["db.namespace", server.database],
          ["server.address", server.host],
          ["server.port", server.port]
        ]
      })
      yield* writer.transaction(setUp(sql, server.shown, Option.isSome(history)))
      return Context.make(SqlClient.SqlClient, sql).pipe(Context.add(ServerWriter, writer))
    }).pipe(orRefuse(server.shown, advice))
  ).pipe(Layer.provide(Reactivity.layer))
