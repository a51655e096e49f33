import { Effect, Layer } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { launch } from "./Launch.ts"
import { OrderProcessor } from "./work/OrderProcessor.ts"

/** The processor that `PROCESSOR` names. The HTTP client is loaded only where it is used. */
const ProcessorLive = Layer.unwrapEffect(
  Effect.flatMap(AppConfig, ({ processor }) =>
    processor === "simulated"
      ? Effect.succeed(OrderProcessor.layerSimulated)
      : Effect.map(
          Effect.promise(() => import("./work/WebhookProcessor.ts")),
          (module) => module.layer(processor)
        )
  )
)

launch(ProcessorLive)
