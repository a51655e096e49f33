import { Duration, Effect, Exit, type Fiber, FiberId, FiberRef, FiberRefs, HashMap, Queue, Runtime } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { keepRunning } from "../KeepRunning.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import type { RowKey } from "../order/OrderChange.ts"
import { TimedOut } from "./AttemptEnd.ts"

interface Running {
  readonly deadline: number
  /** Ends it from outside, if it has not ended. */
  readonly end: (exit: Exit.Exit<unknown, unknown>) => void
}

/**
 * The attempts that run now, each in one fiber of its own. What ends one from outside (`ATTEMPT_TIMEOUT`, a cancel, a
 * shutdown) interrupts it and answers its worker at once: an attempt that will not be interrupted is left to itself, so
 * that it never holds its worker.
 */
export const makeAttempts = Effect.gen(function* () {
  const { attemptTimeout } = yield* AppConfig
  const limit = Duration.toMillis(attemptTimeout)
  /** By their start, and so by their deadline. */
  const running = new Map<RowKey, Running>()
  const started = yield* Queue.sliding<void>(1)
  const now = yield* monotonicMillis
  const fork = Runtime.runFork(yield* Effect.runtime())

  const interrupt = (key: RowKey) => running.get(key)?.end(Exit.interrupt(FiberId.none))

  const timedOut = Exit.fail(new TimedOut({ message: `No outcome within ${Duration.format(attemptTimeout)}` }))
  const endOverdue = Effect.suspend(() => {
    const [first] = running.values()
    if (first === undefined) return Queue.take(started)
    const left = first.deadline - now()
    return left > 0 ? Effect.sleep(left) : Effect.sync(() => first.end(timedOut))
  })
  yield* keepRunning("attempt watchdog", Effect.forever(endOverdue))

  const whenEnded = (key: RowKey, fiber: Fiber.RuntimeFiber<Exit.Exit<unknown, unknown>>) =>
    Effect.async<Exit.Exit<unknown, unknown>>((resume) => {
      const answer = (exit: Exit.Exit<unknown, unknown>) => {
        if (running.get(key) === attempt) running.delete(key)
        resume(Effect.succeed(exit))
      }
      const ended = (exit: Exit.Exit<Exit.Exit<unknown, unknown>>) => answer(Exit.flatten(exit))
      const end = (exit: Exit.Exit<unknown, unknown>) => {
        fiber.removeObserver(ended)
        fiber.unsafeInterruptAsFork(FiberId.none)
        answer(exit)
      }
      const attempt = { deadline: now() + limit, end }
      running.set(key, attempt)
      if (running.size === 1) started.unsafeOffer(undefined)
      fiber.addObserver(ended)
    })

  return {
    /**
     * Runs an attempt at an order, and waits until it has ended or was ended. It fails with nothing. What it inherits
     * is of where this was made, not of the fiber that waits for it.
     */
    run: (key: RowKey, attempt: Effect.Effect<unknown, unknown>, logAnnotations: Readonly<Record<string, unknown>>) =>
      Effect.suspend(() => {
        interrupt(key)
        const annotations = HashMap.fromIterable(Object.entries(logAnnotations))
        // As an exit, for Effect logs a fiber that fails, with its error and all that is in it.
        const fiber = fork(Effect.exit(Effect.interruptible(attempt)), {
          updateRefs: (refs, fiberId) =>
            FiberRefs.updateAs(refs, {
              fiberId,
              fiberRef: FiberRef.currentLogAnnotations,
              value: HashMap.union(FiberRefs.getOrDefault(refs, FiberRef.currentLogAnnotations), annotations)
            })
        })
        // It begins at once, and has often ended by now.
        const exit = fiber.unsafePoll()
        return exit === null ? whenEnded(key, fiber) : Effect.succeed(Exit.flatten(exit))
      }),
    interrupt,
    interruptAll: () => {
      for (const key of running.keys()) interrupt(key)
    }
  }
})
