import * as Reactivity from "@effect/experimental/Reactivity"
import { Effect } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import { type Examination, examineTables, mostSeconds } from "../server/Examination.ts"
import { errorCode } from "../server/ServerErrors.ts"
import { sqlOfSession } from "../server/ServerSql.ts"
import { orRefuse } from "../server/StartRefusal.ts"
import { Client, clientConfig, connectionOf } from "./MariaDbClient.ts"
import { mariaDbCompiler } from "./MariaDbCompiler.ts"
import { migrations } from "./Migrations.ts"
import { expected, present } from "./SchemaCheck.ts"
import { isLocked } from "./SessionLock.ts"
import { checkedFacts, weakened } from "./SetUp.ts"
import { startAdvice } from "./StartAdvice.ts"

/** `max_statement_time` was exceeded. */
const statementTimeout = "ER_1969"

/** A session without the lock, in a transaction that only reads. */
const connect = (server: DatabaseServer) =>
  Effect.gen(function* () {
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => new Client(clientConfig(server))),
      (client) => Effect.sync(() => client.abort("done"))
    )
    yield* client.ready
    const connection = connectionOf(client)
    yield* connection.executeRaw(`SET SESSION max_statement_time = ${mostSeconds}`, [])
    yield* connection.executeRaw("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", [])
    yield* connection.executeRaw("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", [])
    return connection
  })

/** Opens a database of this service to be looked at. What cannot be is refused as a start is. */
export const openExamination = (server: DatabaseServer) =>
  Effect.gen(function* () {
    const connection = yield* connect(server)
    const sql = yield* sqlOfSession(connection, mariaDbCompiler)
    const found = yield* checkedFacts(sql, server.shown)
    const tables = yield* examineTables(sql, server.shown, yield* present(sql), { migrations, expected })
    const [session] = yield* sql<{ Value: string }>`SHOW SESSION STATUS LIKE 'Ssl_version'`
    return {
      shown: server.shown,
      sql,
      server: `MariaDB ${found.version.replace(/-.*/, "")}`,
      weakened: weakened(found),
      tls: session?.Value || undefined,
      isHeld: yield* isLocked(connection),
      ...tables,
      tookTooLong: (error) => errorCode(error) === statementTimeout
    } satisfies Examination
  }).pipe(orRefuse(server.shown, startAdvice), Effect.provide(Reactivity.layer))
