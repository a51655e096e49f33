import { Effect, Layer, Option } from "effect"
import { AppConfig } from "./AppConfig.ts"
import type { StartupError } from "./StartupError.ts"
import type { OrdersRepo } from "./store/OrdersRepo.ts"
import * as OrdersRepoSqlite from "./store/sqlite/OrdersRepoSqlite.ts"

/** The repository on the database of the settings. What a server needs is loaded only where one is named. */
export const RepoLive: Layer.Layer<OrdersRepo, StartupError, AppConfig> = Layer.unwrapEffect(
  Effect.flatMap(AppConfig, ({ databaseServer }) =>
    Option.match(databaseServer, {
      onNone: (): Effect.Effect<Layer.Layer<OrdersRepo, StartupError, AppConfig>> =>
        Effect.succeed(OrdersRepoSqlite.layer),
      onSome: (server) =>
        Effect.map(
          Effect.promise(() => import("./store/postgres/OrdersRepoPostgres.ts")),
          (module) => module.layer(server)
        )
    })
  )
)
