import { it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { AppConfig } from "../../../src/AppConfig.ts"
import type { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { longTest } from "../../support/Limits.ts"
import { config, type Settings } from "../../support/TestLayers.ts"

export type RepoLayer = Layer.Layer<OrdersRepo, unknown, AppConfig>

/** Tests of a repository, each on one of its own. */
export const testOf =
  (layer: RepoLayer) =>
  <E>(title: string, body: Effect.Effect<void, E, OrdersRepo>, settings: Settings = {}) =>
    it.effect(title, () => body.pipe(Effect.provide(Layer.provideMerge(layer, config(settings)))), longTest)
