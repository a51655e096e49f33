import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Option } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { LoggingLive } from "./Logging.ts"
import type { OrderProcessor } from "./OrderProcessor.ts"
import { OrdersRepo } from "./OrdersRepo.ts"
import { ServiceLive } from "./Service.ts"
import { SqlLive } from "./Sql.ts"
import { StartupError } from "./StartupError.ts"

/** Off unless it is configured: then no span is made, and what sends them is not even loaded. */
const TelemetryLive = Layer.unwrapEffect(
  Effect.flatMap(AppConfig, ({ telemetry }) =>
    Option.match(telemetry, {
      onNone: () => Effect.succeed(Layer.setTracerEnabled(false)),
      onSome: (telemetry) =>
        Effect.map(
          Effect.promise(() => import("./Telemetry.ts")),
          (module) => module.layer(telemetry)
        )
    })
  )
)

/**
 * Runs the service with that processor, with settings from the environment, until SIGTERM or SIGINT ends it. Call it
 * once, as the whole program: it sets the exit code, 0 after an orderly end.
 */
export const launch = <E>(processor: Layer.Layer<OrderProcessor, E, AppConfig>) => {
  const MainLive = ServiceLive.pipe(
    Layer.provide(processor),
    Layer.provide(OrdersRepo.layer),
    Layer.provide(SqlLive),
    Layer.provide(TelemetryLive),
    Layer.provide(LoggingLive),
    Layer.provide(AppConfig.layer)
  )

  // The first signal ends the service in order. Ctrl-C under npm comes twice at once, so only one that comes a second or
  // more later means "now".
  let signalledAt: number | undefined
  for (const [signal, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15]
  ] as const) {
    process.on(signal, () => {
      signalledAt ??= performance.now()
      if (performance.now() - signalledAt >= 1000) process.exit(128 + number)
    })
  }

  NodeRuntime.runMain(
    Layer.launch(MainLive).pipe(
      Effect.tapError((error) => Console.error(error instanceof StartupError ? error.message : String(error))),
      Effect.tapDefect((cause) => Effect.logFatal("The service failed", cause))
    ),
    { disableErrorReporting: true, disablePrettyLogger: true }
  )
}
