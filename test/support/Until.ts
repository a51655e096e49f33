import { setTimeout } from "node:timers/promises"
import { Effect } from "effect"

/** Waits in real time, by looking again and again, less and less often, until it holds. */
export const until = <E = never, R = never>(
  holds: (() => boolean | Promise<boolean>) | Effect.Effect<boolean, E, R>
): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    const look = Effect.isEffect(holds) ? holds : Effect.promise(async () => holds())
    for (let pause = 5; !(yield* look); pause = Math.min(pause * 1.5, 100)) {
      yield* Effect.promise((signal) => setTimeout(pause, undefined, { signal }).catch(() => {}))
    }
  })

/** One turn of the event loop. */
export const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Waits by turns of the event loop until it holds: for what goes on in this process, whatever its clock shows. */
export const untilInTurns = <E, R>(holds: Effect.Effect<boolean, E, R>) =>
  Effect.asVoid(Effect.repeat(Effect.zipRight(turn, holds), { until: (held) => held }))

/** Enough turns of the event loop for every fiber to get as far as it can: where what shall not happen has no end. */
export const turns = Effect.repeatN(turn, 20)
