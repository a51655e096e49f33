import { Context, Effect, Exit, Layer, Random } from "effect"
import { StorageUnavailable } from "../order/Order.ts"
import type { Answer, Command, Result } from "./Command.ts"
import { makeCommitFiber, patienceMillis } from "./CommitFiber.ts"

/** The one place where a result is taken for what its command is answered with: the repository keeps their order. */
const asAnswer = <C extends Command>(exit: Exit.Exit<Result, StorageUnavailable>) =>
  exit as Exit.Exit<Answer<C>, StorageUnavailable>

/** The commands of many fibers, one `OrdersRepo.write`, one transaction, one fsync. All writes come this way. */
export class GroupCommit extends Context.Tag("orders/GroupCommit")<
  GroupCommit,
  {
    /**
     * Answers after the commit. After 10 seconds it fails; whether the command was or will be done is unknown then, for
     * its transaction may be under way. It fails at once, and is not done, when too many are in line.
     */
    readonly write: <C extends Command>(command: C) => Effect.Effect<Answer<C>, StorageUnavailable>
    /** The same for many, which go into one transaction, or a few when they are more than a thousand. */
    readonly writeAll: <C extends Command>(
      commands: ReadonlyArray<C>
    ) => Effect.Effect<ReadonlyArray<Answer<C>>, StorageUnavailable>
    /** Waits as long as it takes, and tries again while the storage fails. */
    readonly settle: <C extends Command>(command: C) => Effect.Effect<Answer<C>>
    /** Whether writes succeed. Unless one did a moment ago, it is found out by trying one. */
    readonly ready: Effect.Effect<boolean>
  }
>() {
  static readonly layer = Layer.scoped(
    this,
    Effect.gen(function* () {
      const { add, hasRoomFor, ready } = yield* makeCommitFiber

      const enqueue = <C extends Command>(command: C, patience: number) =>
        Effect.async<Answer<C>, StorageUnavailable>((resume) =>
          add(command, patience, (exit) => resume(asAnswer<C>(exit)))
        )

      const settle = <C extends Command>(command: C): Effect.Effect<Answer<C>> =>
        Effect.catchAll(enqueue(command, Number.POSITIVE_INFINITY), () =>
          Effect.zipRight(Effect.flatMap(Random.nextRange(800, 1200), Effect.sleep), settle(command))
        )

      const all = <C extends Command>(commands: ReadonlyArray<C>) =>
        Effect.async<ReadonlyArray<Answer<C>>, StorageUnavailable>((resume) => {
          const results: Array<Answer<C>> = []
          let left = commands.length
          for (const [index, command] of commands.entries()) {
            add(command, patienceMillis, (exit) => {
              const answer = asAnswer<C>(exit)
              if (Exit.isFailure(answer)) return resume(Effect.failCause(answer.cause))
              results[index] = answer.value
              left -= 1
              if (left === 0) resume(Effect.succeed(results))
            })
          }
        })

      const ifRoomFor = <A>(count: number, write: Effect.Effect<A, StorageUnavailable>) =>
        Effect.suspend(() => (hasRoomFor(count) ? write : new StorageUnavailable({})))

      return {
        write: (command) => ifRoomFor(1, enqueue(command, patienceMillis)),
        writeAll: (commands) =>
          commands.length === 0 ? Effect.succeed([]) : ifRoomFor(commands.length, all(commands)),
        settle,
        ready
      }
    })
  )
}
