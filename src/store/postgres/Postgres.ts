import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import * as ServerSql from "../server/ServerSql.ts"
import { nodesSetUp } from "./NodesSetUp.ts"
import { postgresCompiler } from "./PostgresCompiler.ts"
import { clientConfig, connectionOfPool, makePool } from "./PostgresDriver.ts"
import { postgresDriver } from "./PostgresSession.ts"
import { setUp } from "./SetUp.ts"
import { startAdvice } from "./StartAdvice.ts"

const connections = (server: DatabaseServer, isShared: boolean) =>
  Effect.sync(() => {
    const name = `orders ${randomUUID().slice(0, 8)}`
    const config = clientConfig(server, name)
    return {
      system: "postgresql",
      compiler: postgresCompiler,
      writer: postgresDriver(config, name, isShared),
      reading: Effect.map(makePool(config, ServerSql.readers), connectionOfPool)
    }
  })

/** The SQL client of a PostgreSQL server, ready for use: by one process, or by one of several nodes. */
export const sqlLive = (server: DatabaseServer, isShared = false) =>
  ServerSql.layer(
    server,
    connections(server, isShared),
    isShared ? nodesSetUp(clientConfig(server, "orders engine")) : setUp,
    startAdvice
  )
