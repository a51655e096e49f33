import * as Reactivity from "@effect/experimental/Reactivity"
import { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import { type Examination, examineTables, mostSeconds } from "../server/Examination.ts"
import { errorCode } from "../server/ServerErrors.ts"
import { sqlOfSession } from "../server/ServerSql.ts"
import { orRefuse } from "../server/StartRefusal.ts"
import { migrations } from "./Migrations.ts"
import { postgresCompiler } from "./PostgresCompiler.ts"
import { Client, clientConfig, connectionOf } from "./PostgresDriver.ts"
import { expected, present } from "./SchemaCheck.ts"
import { isLocked } from "./SessionLock.ts"
import { checkedFacts, weakened } from "./SetUp.ts"
import { startAdvice } from "./StartAdvice.ts"

/** A session without the lock, in a transaction that only reads. */
const connect = (server: DatabaseServer) =>
  Effect.gen(function* () {
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => new Client(clientConfig(server, "orders doctor"))),
      (client) => Effect.sync(() => client.abort("done"))
    )
    yield* Effect.tryPromise({
      try: () => client.connect(),
      catch: (cause) => new SqlError({ cause, message: "Failed to connect" })
    })
    const connection = connectionOf(client)
    yield* connection.executeRaw("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", [])
    yield* connection.executeRaw(`SET LOCAL statement_timeout = '${mostSeconds}s'`, [])
    return connection
  })

/** Opens a database of this service to be looked at. What cannot be is refused as a start is. */
export const openExamination = (server: DatabaseServer) =>
  Effect.gen(function* () {
    const connection = yield* connect(server)
    const sql = yield* sqlOfSession(connection, postgresCompiler)
    const found = yield* checkedFacts(sql, server.shown)
    const tables = yield* examineTables(sql, server.shown, yield* present(sql), { migrations, expected })
    const [session] = yield* sql<{ version: string | null }>`
      SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()`
    return {
      shown: server.shown,
      sql,
      server: `PostgreSQL ${found.version_name}, encoding ${found.encoding}`,
      weakened: weakened(found),
      tls: session?.version ?? undefined,
      isHeld: yield* isLocked(connection),
      ...tables,
      tookTooLong: (error) => errorCode(error) === "57014"
    } satisfies Examination
  }).pipe(orRefuse(server.shown, startAdvice), Effect.provide(Reactivity.layer))
