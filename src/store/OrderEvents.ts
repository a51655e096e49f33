import { Context, Effect, Layer, type Scope } from "effect"
import type { Commit } from "./Command.ts"

/** Every committed change of status, published once, after its commit. */
export class OrderEvents extends Context.Tag("orders/OrderEvents")<
  OrderEvents,
  {
    /** Calls all listeners, in one synchronous step. */
    readonly publish: (commit: Commit) => Effect.Effect<void>
    /** The listener gets every commit until the scope ends, before anyone is answered because of it. It must not throw or wait. */
    readonly listen: (listener: (commit: Commit) => void) => Effect.Effect<void, never, Scope.Scope>
  }
>() {
  static readonly layer = Layer.sync(this, () => {
    const listeners = new Set<(commit: Commit) => void>()
    return {
      publish: (commit) =>
        Effect.forEach(
          listeners,
          (listener) =>
            Effect.sync(() => listener(commit)).pipe(
              Effect.catchAllCause((cause) => Effect.logError("A listener failed", cause))
            ),
          { discard: true }
        ),
      listen: (listener) =>
        Effect.acquireRelease(
          Effect.sync(() => listeners.add(listener)),
          () => Effect.sync(() => listeners.delete(listener))
        )
    }
  })
}
