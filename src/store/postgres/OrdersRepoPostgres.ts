import { Layer } from "effect"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import * as OrdersRepoSql from "../OrdersRepoSql.ts"
import { sqlLive } from "./Postgres.ts"
import * as PostgresStatements from "./PostgresStatements.ts"

/** The repository on a PostgreSQL server, with its client. */
export const layer = (server: DatabaseServer) =>
  OrdersRepoSql.layer.pipe(Layer.provide(PostgresStatements.layer), Layer.provideMerge(sqlLive(server)))
