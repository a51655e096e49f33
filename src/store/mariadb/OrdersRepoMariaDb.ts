import { Layer } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import * as OrdersRepoSql from "../OrdersRepoSql.ts"
import * as ServerStatements from "../server/ServerStatements.ts"
import { sqlLive } from "./MariaDb.ts"
import { mariaDbDialect } from "./MariaDbDialect.ts"
import { mariaDbErrors } from "./MariaDbErrors.ts"

/** The repository on a MariaDB server, with its client. */
export const layer = (server: DatabaseServer) =>
  OrdersRepoSql.layer.pipe(
    Layer.provide(ServerStatements.layer(mariaDbDialect, mariaDbErrors)),
    Layer.provideMerge(sqlLive(server))
  )
