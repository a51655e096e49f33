import { Context, Effect, Layer, Option, type Scope } from "effect"
import type { OrderChange } from "../order/OrderChange.ts"
import { makeChangeTail } from "./ChangeTail.ts"
import type { Commit } from "./Command.ts"
import { OrdersRepo } from "./OrdersRepo.ts"

/** A set of functions that are called one after the other, none of which can fail the others. */
const makeListeners = <A>() => {
  const listeners = new Set<(value: A) => void>()
  return {
    call: (value: A) =>
      Effect.forEach(
        listeners,
        (listener) =>
          Effect.sync(() => listener(value)).pipe(
            Effect.catchAllCause((cause) => Effect.logError("A listener failed", cause))
          ),
        { discard: true }
      ),
    add: (listener: (value: A) => void) =>
      Effect.acquireRelease(
        Effect.sync(() => listeners.add(listener)),
        () => Effect.sync(() => listeners.delete(listener))
      )
  }
}

/** Every committed change of status, published once, after its commit. */
export class OrderEvents extends Context.Tag("orders/OrderEvents")<
  OrderEvents,
  {
    /** Calls all listeners, in one synchronous step. */
    readonly publish: (commit: Commit) => Effect.Effect<void>
    /**
     * The listener gets every commit of this process until the scope ends, before anyone is answered because of it. It must
     * not throw or wait.
     */
    readonly listen: (listener: (commit: Commit) => void) => Effect.Effect<void, never, Scope.Scope>
    /**
     * The same for the changes of all nodes, in the order of commit. They come from the history, within moments, where
     * there are several; of one process they come with the commit.
     */
    readonly follow: (
      listener: (changes: ReadonlyArray<OrderChange>) => void
    ) => Effect.Effect<void, never, Scope.Scope>
    /** Done when the followers have had all that was committed before. */
    readonly caughtUp: Effect.Effect<void>
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      const own = makeListeners<Commit>()
      const all = makeListeners<ReadonlyArray<OrderChange>>()
      if (Option.isNone(repo.nodes)) {
        return {
          publish: (commit) => Effect.zipRight(own.call(commit), all.call(commit.changes)),
          listen: own.add,
          follow: all.add,
          caughtUp: Effect.void
        }
      }
      const tail = yield* makeChangeTail(repo.fault, repo.nodes.value, all.call)
      return {
        publish: (commit) => Effect.zipRight(own.call(commit), tail.committed(commit)),
        listen: own.add,
        follow: all.add,
        caughtUp: tail.caughtUp
      }
    })
  )
}
