import { Layer } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import * as OrdersRepoSql from "../OrdersRepoSql.ts"
import * as ServerStatements from "../server/ServerStatements.ts"
import { sqlLive } from "./Postgres.ts"
import { postgresDialect } from "./PostgresDialect.ts"
import { postgresErrors } from "./PostgresErrors.ts"

/** The repository on a PostgreSQL server, with its client. */
export const layer = (server: DatabaseServer) =>
  OrdersRepoSql.layer.pipe(
    Layer.provide(ServerStatements.layer(postgresDialect, postgresErrors)),
    Layer.provideMerge(sqlLive(server))
  )
