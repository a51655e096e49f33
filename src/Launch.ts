import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Option, Runtime } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { ApiKeys } from "./access/ApiKeys.ts"
import { version } from "./api/Version.ts"
import { NodeWarningsLive } from "./NodeWarnings.ts"
import { guardOutput } from "./Output.ts"
import { LoggingLive } from "./observe/Logging.ts"
import { visibleLines } from "./order/VisibleText.ts"
import { RepoLive } from "./RepoLive.ts"
import { ServiceLive } from "./Service.ts"
import { handleSignals, KeyReloadLive, SignalsLive } from "./Signals.ts"
import { StartupError } from "./StartupError.ts"
import { OrdersRepo } from "./store/OrdersRepo.ts"
import { OrderProcessor } from "./work/OrderProcessor.ts"

/** Off unless it is configured: then no span is made, and what sends them is not even loaded. */
const TelemetryLive = Layer.unwrapEffect(
  Effect.flatMap(AppConfig, ({ telemetry }) =>
    Option.match(telemetry, {
      onNone: () => Effect.succeed(Layer.setTracerEnabled(false)),
      onSome: (telemetry) =>
        Effect.map(
          Effect.promise(() => import("./observe/Telemetry.ts")),
          (module) => module.layer(telemetry)
        )
    })
  )
)

/** The first line of the log: what runs here, on what. */
const GreetingLive = Layer.effectDiscard(
  Effect.gen(function* () {
    const { databaseFile, databaseServer, processor, queue, role } = yield* AppConfig
    const { name = "custom" } = yield* OrderProcessor
    const { Pending, Processing } = yield* Effect.flatMap(OrdersRepo, (repo) => repo.totals)
    yield* Effect.annotateLogs(Effect.logInfo(`Orders ${version} starts`), {
      version,
      node: process.versions.node,
      database: Option.match(databaseServer, { onNone: () => databaseFile, onSome: ({ shown }) => shown }),
      ...(queue === "memory" ? {} : { queue, role }),
      // Of the webhook no more than the host: path and query may hold a secret.
      processor: name === "webhook" && processor !== "simulated" ? `${name} at ${processor.url.host}` : name,
      backlog: Pending + Processing
    })
  })
)

/** Standard error reports that the log cannot be written, and the log that it could not. Nothing does until there is a log. */
let onRecovery = (_output: string, _why: string, _lost: number) => {}

const guardOutputs = () => {
  guardOutput(process.stdout, {
    onTrouble: (why) =>
      process.stderr.write(
        `Standard output cannot be written (${why}): the service goes on, and logs again once it can\n`
      ),
    onRecovery: (why, lost) => onRecovery("Standard output", why, lost)
  })
  guardOutput(process.stderr, {
    onTrouble: () => {},
    onRecovery: (why, lost) => onRecovery("Standard error", why, lost)
  })
}

const OutputNoticesLive = Layer.effectDiscard(
  Effect.map(Effect.runtime(), (runtime) => {
    onRecovery = (output, why, lost) =>
      Runtime.runSync(
        runtime,
        Effect.annotateLogs(Effect.logWarning(`${output} could not be written for a while: ${why}`), {
          lost_lines: lost
        })
      )
  })
)

/**
 * Runs the service with that processor, with settings from the environment, until SIGTERM, SIGINT or SIGHUP ends it. Call it
 * once, as the whole program: it sets the exit code, 0 after an orderly end.
 */
export const launch = <E>(processor: Layer.Layer<OrderProcessor, E, AppConfig>) => {
  const MainLive = Layer.merge(SignalsLive, OutputNoticesLive).pipe(
    Layer.provide(ServiceLive),
    Layer.provide(NodeWarningsLive),
    Layer.provide(GreetingLive),
    Layer.provide(processor),
    Layer.provide(RepoLive),
    // Before the database is opened, which a faulty file of keys must not touch.
    Layer.provide(KeyReloadLive),
    Layer.provide(ApiKeys.layer),
    Layer.provide(TelemetryLive),
    Layer.provide(LoggingLive),
    Layer.provide(AppConfig.layer)
  )

  guardOutputs()
  handleSignals()

  NodeRuntime.runMain(
    Layer.launch(MainLive).pipe(
      Effect.tapError((error) =>
        Console.error(visibleLines(error instanceof StartupError ? error.message : String(error)))
      ),
      Effect.tapDefect((cause) => Effect.logFatal("The service failed", cause))
    ),
    { disableErrorReporting: true, disablePrettyLogger: true }
  )
}
