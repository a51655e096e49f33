import { Effect } from "effect"
import { lineMillis } from "../LogLimit.ts"
import { monotonicMillis } from "../MonotonicClock.ts"

/** For how long a write that succeeded proves that the next one will, in milliseconds. */
const freshMillis = 5000

/** Whether writes succeed. The log reports each state at most once a minute, and in the end the one that holds. */
export const makeWriteHealth = Effect.map(monotonicMillis, (now) => {
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

  return {
    isHealthy: () => healthy,
    /** Healthy, and shown to be so a moment ago. */
    isProven: () => healthy && now() - provenAt < freshMillis,
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
