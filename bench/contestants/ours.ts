import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Deferred, Effect, FiberId, Layer, Option } from "effect"
import { AppConfig } from "../../src/AppConfig.ts"
import { ApiKeys } from "../../src/access/ApiKeys.ts"
import { LoggingLive } from "../../src/observe/Logging.ts"
import { RepoLive } from "../../src/RepoLive.ts"
import { ServiceLive } from "../../src/Service.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrderProcessor, Permanent } from "../../src/work/OrderProcessor.ts"

const isFailing = process.env.FAILING === "on"
const isTimed = process.env.TIMED === "on"
const runMillis = Number(process.env.RUN_MILLIS ?? 0)
const started = Deferred.unsafeMake<void>(FiberId.none)
let isStarted = process.env.PROCESSING === "on"

/** When each order's acceptance was published, which is right after its commit. */
const committedAt = new Map<string, number>()
/** Milliseconds from there to the call of the processor. */
let waits: Array<number> = []
let firstRunAt = 0

const declined = new Permanent({ code: "declined", message: "The card was declined" })

/** Does nothing, at once, or after the time it is given; where it fails, it does so for one order in a hundred. Until it is started it is not ready, and the service processes nothing. */
const ProcessorLive = Layer.succeed(OrderProcessor, {
  ready: Effect.suspend(() => (isStarted ? Effect.void : Deferred.await(started))),
  process: (order) =>
    Effect.suspend(() => {
      if (firstRunAt === 0) firstRunAt = Date.now()
      if (isFailing && order.order_id.endsWith("00")) return declined
      if (runMillis > 0) return Effect.sleep(runMillis)
      if (!isTimed) return Effect.void
      const since = committedAt.get(order.order_id)
      if (since !== undefined) waits.push(performance.now() - since)
      committedAt.delete(order.order_id)
      return Effect.void
    })
})

const TimingLive = Layer.scopedDiscard(
  Effect.flatMap(OrderEvents, (events) =>
    events.listen(({ changes }) => {
      const now = performance.now()
      for (const { from, order_id } of changes) if (Option.isNone(from)) committedAt.set(order_id, now)
    })
  )
)

process.on("message", (message) => {
  if (message === "process") {
    isStarted = true
    Deferred.unsafeDone(started, Effect.void)
  }
  if (message === "waits") {
    process.send?.(waits)
    waits = []
  }
  if (message === "firstRunAt") process.send?.(firstRunAt)
})

/** What `main.ts` runs, but for the processor, signals and telemetry. */
const MainLive = (isTimed ? TimingLive : Layer.empty).pipe(
  Layer.provideMerge(ServiceLive),
  Layer.provide(ProcessorLive),
  Layer.provide(RepoLive),
  Layer.provide(ApiKeys.layer),
  Layer.provide(LoggingLive),
  Layer.provide(AppConfig.layer),
  Layer.provide(Layer.setTracerEnabled(false))
)

NodeRuntime.runMain(Layer.launch(MainLive), { disablePrettyLogger: true })
