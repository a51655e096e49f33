import { setTimeout } from "node:timers/promises"
import { Effect } from "effect"

/** Waits, by looking again and again, less and less often, until it holds. */
export const until = (holds: () => boolean | Promise<boolean>) =>
  Effect.promise(async (signal) => {
    for (let pause = 5; !signal.aborted && !(await holds()); pause = Math.min(pause * 1.5, 100)) await setTimeout(pause)
  })
