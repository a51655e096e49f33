import { Effect, Layer, Option } from "effect"
import { AppConfig } from "./AppConfig.ts"
import type { DatabaseServer } from "./DatabaseServer.ts"
import type { StartupError } from "./StartupError.ts"
import type { OrdersRepo } from "./store/OrdersRepo.ts"
import * as OrdersRepoSqlite from "./store/sqlite/OrdersRepoSqlite.ts"

/** What a kind of server needs is loaded only where one is named. */
const onServer = {
  postgres: () => import("./store/postgres/OrdersRepoPostgres.ts"),
  mariadb: () => import("./store/mariadb/OrdersRepoMariaDb.ts")
} as const

const serverLive = (server: DatabaseServer) =>
  Effect.map(
    Effect.promise<{
      readonly layer: (server: DatabaseServer) => Layer.Layer<OrdersRepo, StartupError, AppConfig>
    }>(onServer[server.kind]),
    (module) => module.layer(server)
  )

/** The repository on the database of the settings. */
export const RepoLive: Layer.Layer<OrdersRepo, StartupError, AppConfig> = Layer.unwrapEffect(
  Effect.flatMap(AppConfig, ({ databaseServer }) =>
    Option.match(databaseServer, {
      onNone: (): Effect.Effect<Layer.Layer<OrdersRepo, StartupError, AppConfig>> =>
        Effect.succeed(OrdersRepoSqlite.layer),
      onSome: serverLive
    })
  )
)
