import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type * as SqlClient from "@effect/sql/SqlClient"
import { afterAll } from "@effect/vitest"
import { ConfigProvider, type Context, Effect, Exit, Layer, Logger, LogLevel, Option, Schema, Scope } from "effect"
import { AppConfig } from "../../src/AppConfig.ts"
import { ApiKeys } from "../../src/access/ApiKeys.ts"
import * as Client from "../../src/api/Client.ts"
import { HttpLive } from "../../src/http/Http.ts"
import { NewOrder } from "../../src/order/Order.ts"
import { serviceBy } from "../../src/Service.ts"
import { Command } from "../../src/store/Command.ts"
import type { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import * as OrdersRepoMemory from "../../src/store/OrdersRepoMemory.ts"
import type { DatabaseFile } from "../../src/store/sqlite/DatabaseFile.ts"
import * as OrdersRepoSqlite from "../../src/store/sqlite/OrdersRepoSqlite.ts"
import { OrderProcessor } from "../../src/work/OrderProcessor.ts"

export type Settings = Partial<Context.Tag.Service<AppConfig>>

/** A folder that is gone when the scope is. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "orders-"))),
  (folder) => Effect.promise(() => Fs.rm(folder, { recursive: true, force: true }))
)

/** Makes a folder once for all tests of a file, and gives each a copy of it. */
export const copyOf = <E>(make: Effect.Effect<string, E, Scope.Scope>) => {
  const scope = Effect.runSync(Scope.make())
  const original = Effect.runSync(Effect.cached(Scope.extend(make, scope)))
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return Effect.gen(function* () {
    const from = yield* original
    const folder = yield* temporaryFolder
    yield* Effect.promise(() => Fs.cp(from, folder, { recursive: true, preserveTimestamps: true }))
    return folder
  })
}

/** The settings of a test: a database file of its own, a free port, nothing logged but what is fatal. */
export const config = (settings: Settings = {}) =>
  Layer.unwrapScoped(
    Effect.map(temporaryFolder, (folder) =>
      AppConfig.layerTest({ databaseFile: Path.join(folder, "orders.db"), port: 0, ...settings })
    )
  ).pipe(Layer.merge(Layer.merge(Logger.minimumLogLevel(LogLevel.Fatal), Layer.setTracerEnabled(false))))

/** The settings that these variables make, as at a start. */
export const settingsBy = (environment: Record<string, string>) =>
  Effect.provide(
    AppConfig,
    Layer.provide(
      AppConfig.layer,
      Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment))))
    )
  )

/** The repository on a real SQLite file. */
export const sqlRepo: Layer.Layer<OrdersRepo | SqlClient.SqlClient | DatabaseFile, unknown, AppConfig> =
  OrdersRepoSqlite.layer

export const memoryRepo = OrdersRepoMemory.layer

/** A processor made of one function. */
export const processor = (process: Context.Tag.Service<OrderProcessor>["process"]) =>
  Layer.succeed(OrderProcessor, { ready: Effect.void, process })

/** Done at once, with no result. */
export const instantProcessor = processor(() => Effect.void)

export const newOrder = (order_id: number | string, rest: object = {}) =>
  Schema.decodeUnknownSync(NewOrder)({ order_id, user_id: 1, item_ids: [1, 2, 3], total_amount: 250.7, ...rest })

export const anInsert = (order_id: number | string, rest: object = {}) =>
  Command.Insert({ order: newOrder(order_id, rest), traceparent: Option.none() })

/** The whole service with a real HTTP server on a free port. */
export const service = <E>(options: {
  readonly repo: Layer.Layer<OrdersRepo, E, AppConfig>
  readonly processor?: Layer.Layer<OrderProcessor, never, AppConfig>
  readonly settings?: Settings
  readonly http?: typeof HttpLive
}) =>
  serviceBy(options.http ?? HttpLive).pipe(
    Layer.provide(options.processor ?? instantProcessor),
    Layer.provideMerge(options.repo),
    Layer.provideMerge(ApiKeys.layer),
    Layer.provideMerge(config(options.settings)),
    Layer.merge(NodeHttpClient.layer)
  )

export const baseUrl = HttpServer.addressFormattedWith(Effect.succeed)

/** The typed client of a service. */
export const clientOf = (baseUrl: string) => Client.make({ baseUrl })

const clients = new WeakMap<HttpServer.HttpServer, Client.Client>()

/** The typed client of the service in the context, over real connections. It is made once: that takes milliseconds. */
export const client = Effect.gen(function* () {
  const server = yield* HttpServer.HttpServer
  const made = clients.get(server) ?? (yield* Effect.flatMap(baseUrl, clientOf))
  clients.set(server, made)
  return made
})

/** The text of a problem body, as a client reads it. */
export const Problem = Schema.parseJson(
  Schema.Struct({
    type: Schema.String,
    status: Schema.Int,
    detail: Schema.String,
    errors: Schema.optional(Schema.Array(Schema.Struct({ pointer: Schema.String, detail: Schema.String })))
  })
)
