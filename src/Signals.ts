import { isatty } from "node:tty"
import { Duration, Effect, Layer, Runtime } from "effect"
import { AppConfig, isDevelopment } from "./AppConfig.ts"
import { ApiKeys } from "./access/ApiKeys.ts"
import { Metrics } from "./observe/Metrics.ts"

const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
type Signal = keyof typeof signals

/** Called at once when the first signal comes, and when SIGUSR1 does. They do nothing until there is a log. */
let onShutdown: (signal: Signal) => void = () => {}
let onIgnored: () => void = () => {}
/** Called in place of that when SIGHUP comes and no terminal was closed, once there is something to read again. */
let onReload: (() => void) | undefined

/**
 * The first signal ends the service in order: SIGTERM, SIGINT (Ctrl-C), SIGHUP (its terminal was closed, or there are no keys
 * to be read again). Ctrl-C under npm comes twice at once, so only one that comes a second or more later means "now".
 */
export const handleSignals = () => {
  let signalledAt: number | undefined
  const terminals = [0, 1, 2].filter(isatty)
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (signal === "SIGHUP" && onReload !== undefined && terminals.every(isatty)) return onReload()
      if (signalledAt === undefined) {
        signalledAt = performance.now()
        onShutdown(signal)
        // The runtime knows no other than SIGINT and SIGTERM.
        if (signal === "SIGHUP") process.emit("SIGTERM")
      } else if (performance.now() - signalledAt >= 1000) process.exit(128 + signals[signal])
    })
  }
  process.on("exit", () => {
    if (terminals.every(isatty)) return
    // Node crashes when it sets back a terminal that is gone: end as what SIGHUP ends does.
    process.removeAllListeners("SIGHUP")
    process.kill(process.pid, "SIGHUP")
  })
  // Without a listener Node opens its debugger to every user of this machine: for `npm run dev` only.
  if (!isDevelopment) process.on("SIGUSR1", () => onIgnored())
}

/** Has SIGHUP read the keys again. */
export const KeyReloadLive = Layer.effectDiscard(
  Effect.gen(function* () {
    const { reload, required } = yield* ApiKeys
    const run = Runtime.runSync(yield* Effect.runtime())
    if (required) onReload = () => run(reload)
  })
)

/** Logs what a signal began. */
export const SignalsLive = Layer.effectDiscard(
  Effect.gen(function* () {
    const metrics = yield* Metrics
    const { shutdownGrace } = yield* AppConfig
    const run = Runtime.runSync(yield* Effect.runtime())
    onShutdown = (signal) =>
      run(
        Effect.suspend(() => {
          const busy = metrics.workersBusy()
          return Effect.annotateLogs(
            Effect.logInfo(
              `Shutting down, waiting for ${busy} ${busy === 1 ? "attempt" : "attempts"}; again to end now`
            ),
            { signal, at_most: Duration.format(shutdownGrace) }
          )
        })
      )
    onIgnored = () => run(Effect.logWarning("SIGUSR1 does nothing here: start with `node --inspect` to debug"))
  })
)
