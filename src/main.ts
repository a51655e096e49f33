import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { LoggingLive } from "./Logging.ts"
import { OrderProcessor } from "./OrderProcessor.ts"
import { OrdersRepo } from "./OrdersRepo.ts"
import { ServiceLive } from "./Service.ts"
import { SqlLive } from "./Sql.ts"
import { StartupError } from "./StartupError.ts"

const MainLive = ServiceLive.pipe(
  Layer.provide(OrderProcessor.layerSimulated),
  Layer.provide(OrdersRepo.layer),
  Layer.provide(SqlLive),
  Layer.provide(LoggingLive),
  Layer.provide(AppConfig.layer),
  // Nothing exports spans, and they cost something for each request.
  Layer.provide(Layer.setTracerEnabled(false))
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
