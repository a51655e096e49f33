import * as SqlClient from "@effect/sql/SqlClient"
import { Effect, Layer, Option } from "effect"
import { AppConfig } from "../../AppConfig.ts"
import type { DatabaseServer } from "../../DatabaseServer.ts"
import * as OrdersRepoSql from "../OrdersRepoSql.ts"
import * as ServerStatements from "../server/ServerStatements.ts"
import { orRefuse } from "../server/StartRefusal.ts"
import { makeNodeTable } from "./NodeTable.ts"
import { makeEngine } from "./PgBossEngine.ts"
import { sqlLive } from "./Postgres.ts"
import { postgresDialect } from "./PostgresDialect.ts"
import { clientConfig } from "./PostgresDriver.ts"
import { postgresErrors } from "./PostgresErrors.ts"
import { postgresNodes } from "./PostgresNodes.ts"
import { startAdvice } from "./StartAdvice.ts"

const engine = (server: DatabaseServer) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ name: string }>`SELECT current_schema() AS name`
    return Option.some({
      ...postgresNodes(sql, yield* makeEngine(clientConfig(server, "orders jobs"), row?.name ?? "public")),
      ...(yield* makeNodeTable(clientConfig(server, "orders nodes")))
    })
  }).pipe(orRefuse(server.shown, startAdvice))

/** The repository on a PostgreSQL server, with its client; and with an engine, if `QUEUE` says so. */
export const layer = (server: DatabaseServer) =>
  Layer.unwrapEffect(
    Effect.map(AppConfig, ({ queue }) => {
      const isShared = queue === "pg-boss"
      return OrdersRepoSql.layer.pipe(
        Layer.provide(ServerStatements.layer(postgresDialect, postgresErrors, isShared ? engine(server) : undefined)),
        Layer.provideMerge(sqlLive(server, isShared))
      )
    })
  )
