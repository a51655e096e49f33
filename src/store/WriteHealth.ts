import { Effect } from "effect"
import { lineMillis } from "../LogLimit.ts"
import { monotonicMillis } from "../MonotonicClock.ts"

/** For how long a write that succeeded tells that the next one will, in milliseconds. */
const freshMillis = 5000

/** Whether writes succeed. The log tells either at most once a minute, and in the end what is true. */
export const makeWriteHealth = Effect.map(monotonicMillis, (now) => {
  let healthy = true
  let provenAt = Number.NEGATIVE_INFINITY
  let told = true
  const toldAt = { true: Number.NEGATIVE_INFINITY, false: Number.NEGATIVE_INFINITY }

  const tell = Effect.suspend(() => {
    const state = healthy ? "true" : "false"
    if (told === healthy || now() - toldAt[state] < lineMillis) return Effect.void
    told = healthy
    toldAt[state] = now()
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
      return tell
    }),
    failed: Effect.suspend(() => {
      healthy = false
      return tell
    }),
    /** To be done now and then, for what could not be told at once. */
    tell
  }
})
