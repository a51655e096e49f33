import { Effect } from "effect"
import { monotonicMillis } from "./MonotonicClock.ts"

export const lineMillis = 60_000

/** Lets one line of each kind through in a minute; the next one says how many were left out. There are few kinds. */
export const makeLogLimit = Effect.map(monotonicMillis, (now) => {
  const kinds = new Map<string, { readonly at: number; leftOut: number }>()
  return (kind: string, line: Effect.Effect<void>) =>
    Effect.suspend(() => {
      const last = kinds.get(kind)
      if (last !== undefined && now() - last.at < lineMillis) {
        last.leftOut += 1
        return Effect.void
      }
      kinds.set(kind, { at: now(), leftOut: 0 })
      return last && last.leftOut > 0 ? Effect.annotateLogs(line, "left_out", last.leftOut) : line
    })
})
