import { Deferred, Effect, FiberId } from "effect"
import { lineMillis } from "../LogLimit.ts"
import { monotonicMillis } from "../MonotonicClock.ts"

/** For how long a write that succeeded proves that the next one will, in milliseconds. */
const freshMillis = 5000
/** How long it takes at most to find out whether writes succeed, within what health checks wait. */
const probeMillis = 500

/**
 * Whether writes succeed, as the last one showed, or as `tryWrite` shows. The log reports each state at most once a
 * minute, and in the end the one that holds.
 */
export const makeWriteHealth = Effect.fnUntraced(function* (tryWrite: (answer: (succeeded: boolean) => void) => void) {
  const now = yield* monotonicMillis
  let healthy = true
  let provenAt = Number.NEGATIVE_INFINITY
  let logged = true
  const loggedAt = { true: Number.NEGATIVE_INFINITY, false: Number.NEGATIVE_INFINITY }

  const report = Effect.suspend(() => {
    const state = healthy ? "true" : "false"
    if (logged === healthy || now() - loggedAt[state] < lineMillis) return Effect.void
    logged = healthy
    loggedAt[state] = now()
    return healthy
      ? Effect.logInfo("Orders are written again")
      : Effect.logError("Orders cannot be written: new ones are answered 503 until they can")
  })

  let probing: Deferred.Deferred<boolean> | undefined
  const startProbe = () => {
    if (probing !== undefined) return probing
    const probed = Deferred.unsafeMake<boolean>(FiberId.none)
    probing = probed
    tryWrite((succeeded) => {
      if (probing === probed) probing = undefined
      Deferred.unsafeDone(probed, Effect.succeed(succeeded))
    })
    return probed
  }

  return {
    isHealthy: () => healthy,
    /** Tries a write, once for all who ask meanwhile: whether it succeeded. */
    startProbe,
    /** Unless a write succeeded a moment ago, it is found out by trying one. */
    ready: Effect.suspend(() =>
      healthy && now() - provenAt < freshMillis
        ? Effect.succeed(true)
        : Effect.timeoutTo(Deferred.await(startProbe()), {
            duration: probeMillis,
            onSuccess: (succeeded) => succeeded,
            onTimeout: () => healthy
          })
    ),
    proven: Effect.suspend(() => {
      healthy = true
      provenAt = now()
      return report
    }),
    failed: Effect.suspend(() => {
      healthy = false
      return report
    }),
    /** To be done now and then, for a state that could not be logged at once. */
    report
  }
})

export type WriteHealth = Effect.Effect.Success<ReturnType<typeof makeWriteHealth>>
