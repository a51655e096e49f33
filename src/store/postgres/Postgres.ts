import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import * as ServerSql from "../server/ServerSql.ts"
import { postgresCompiler } from "./PostgresCompiler.ts"
import { clientConfig, connectionOfPool, makePool } from "./PostgresDriver.ts"
import { postgresDriver } from "./PostgresSession.ts"
import { setUp } from "./SetUp.ts"
import { startAdvice } from "./StartAdvice.ts"

const connections = (server: DatabaseServer) =>
  Effect.sync(() => {
    const name = `orders ${randomUUID().slice(0, 8)}`
    const config = clientConfig(server, name)
    return {
      system: "postgresql",
      compiler: postgresCompiler,
      writer: postgresDriver(config, name),
      reading: Effect.map(makePool(config, ServerSql.readers), connectionOfPool)
    }
  })

/** The SQL client of a PostgreSQL server, ready for use. */
export const sqlLive = (server: DatabaseServer) => ServerSql.layer(server, connections(server), setUp, startAdvice)
