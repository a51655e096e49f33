import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import * as ServerSql from "../server/ServerSql.ts"
import { clientConfig } from "./MariaDbClient.ts"
import { mariaDbCompiler } from "./MariaDbCompiler.ts"
import { mariaDbDriver } from "./MariaDbSession.ts"
import { makeReaders } from "./Readers.ts"
import { setUp } from "./SetUp.ts"
import { startAdvice } from "./StartAdvice.ts"

const connections = (server: DatabaseServer) =>
  Effect.sync(() => {
    const config = clientConfig(server)
    return {
      system: "mariadb",
      compiler: mariaDbCompiler,
      writer: mariaDbDriver(config, `orders ${randomUUID()}`),
      reading: makeReaders(config, ServerSql.readers)
    }
  })

/** The SQL client of a MariaDB server, ready for use. */
export const sqlLive = (server: DatabaseServer) => ServerSql.layer(server, connections(server), setUp, startAdvice)
