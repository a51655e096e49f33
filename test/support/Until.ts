import { setTimeout } from "node:timers/promises"
import { Effect } from "effect"

/** Waits, by looking again and again, less and less often, until it holds. */
export const until = (holds: () => boolean | Promise<boolean>) =>
  Effect.promise(async (signal) => {
    for (let pause = 5; !signal.aborted && !(await holds()); pause = Math.min(pause * 1.5, 100)) await setTimeout(pause)
  })

/** One turn of the event loop. */
export const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Enough turns of the event loop for every fiber to get as far as it can: for what is to be shown not to happen. */
export const turns = Effect.repeatN(turn, 20)
