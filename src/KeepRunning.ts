import { Cause, Effect, Exit, Fiber } from "effect"
import { makeLogLimit } from "./LogLimit.ts"

/**
 * Runs a loop that is never to end in a fiber of the scope, and starts it again should it end all the same: by a
 * failure, a defect, or because something interrupted it. It is logged, once a minute at most.
 */
export const keepRunning = <E, R>(what: string, loop: Effect.Effect<never, E, R>) =>
  Effect.flatMap(makeLogLimit, (limited) =>
    Effect.fork(loop).pipe(
      Effect.flatMap(Fiber.await),
      Effect.tap((exit) =>
        limited(
          "end",
          Effect.logError(`The ${what} ended and is started again`, Exit.isFailure(exit) ? exit.cause : Cause.empty)
        )
      ),
      Effect.zipRight(Effect.sleep("100 millis")),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )
  )
