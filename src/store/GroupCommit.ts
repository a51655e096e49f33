import { Array as Arr, Cause, Context, Deferred, Effect, Exit, FiberId, Layer, Option, Queue, Random } from "effect"
import { keepRunning } from "../KeepRunning.ts"
import { makeLogLimit } from "../LogLimit.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { nextTurn } from "../NextTurn.ts"
import { StorageUnavailable } from "../order/Order.ts"
import { type Answer, Command, type Result } from "./Command.ts"
import { makeCommitLine, type WaitingCommand } from "./CommitLine.ts"
import { OrderEvents } from "./OrderEvents.ts"
import { OrdersRepo } from "./OrdersRepo.ts"
import { makeWriteHealth } from "./WriteHealth.ts"

const patienceMillis = 10_000
/** How long it takes at most to find out whether writes succeed, within what health checks wait. */
const probeMillis = 500
/** How long closing waits for the last writes. */
const flushMillis = 2000
const maxBatch = 1000

const isProbe = ({ command }: WaitingCommand) => command._tag === "Probe"

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
      const repo = yield* OrdersRepo
      const events = yield* OrderEvents
      const now = yield* monotonicMillis
      const line = makeCommitLine()
      const signal = yield* Queue.sliding<void>(1)
      /** Those in line, and those whose transaction runs: what of these has been answered may be stored all the same. */
      const waiting = new Set<WaitingCommand>()
      const health = yield* makeWriteHealth
      const limited = yield* makeLogLimit

      const answer = (entry: WaitingCommand, exit: Exit.Exit<Result, StorageUnavailable>) => {
        waiting.delete(entry)
        entry.answer(exit)
      }

      const fail = (entries: ReadonlyArray<WaitingCommand>) =>
        Effect.map(health.failed, () => {
          for (const entry of entries) answer(entry, Exit.fail(new StorageUnavailable({})))
        })

      const commitBatch = Effect.fnUntraced(function* (
        entries: Arr.NonEmptyReadonlyArray<WaitingCommand>
      ): Effect.fn.Return<void> {
        const commands = Arr.map(entries, ({ command }) => command)
        const exit = yield* Effect.exit(Effect.suspend(() => repo.write(commands)))
        if (Exit.isSuccess(exit)) {
          const { commit, results } = exit.value
          const written = Option.isSome(commit)
          // A batch that had nothing to write proves nothing; one that wrote little, not that there is room again.
          if (entries.some(isProbe) || (written && health.isHealthy())) yield* health.proven
          else if (written) startProbe()
          if (written) yield* events.publish(commit.value)
          for (const [entry, result] of Arr.zip(entries, results)) answer(entry, Exit.succeed(result))
        } else if (Cause.isFailure(exit.cause) || Cause.isInterrupted(exit.cause)) {
          yield* fail(entries)
        } else if (entries.length > 1) {
          // Not the storage's fault but a command's: on its own each fails, or succeeds, for itself.
          for (const entry of entries) yield* commitBatch([entry])
        } else {
          yield* health.failed
          yield* limited("defect", Effect.logError("A command could not be written", exit.cause))
          answer(entries[0], Exit.failCause(exit.cause))
        }
      })

      const commitArrived = Effect.gen(function* () {
        const [others, probes] = Arr.partition(line.take(maxBatch), isProbe)
        // A probe needs room that the others may not need.
        if (Arr.isNonEmptyReadonlyArray(others)) yield* commitBatch(others)
        if (Arr.isNonEmptyReadonlyArray(probes)) yield* commitBatch(probes)
      })

      yield* Effect.addFinalizer(() =>
        Effect.whileLoop({ while: () => line.length() > 0, body: () => commitArrived, step: () => {} }).pipe(
          Effect.interruptible,
          Effect.timeoutOption(flushMillis)
        )
      )
      // What has been taken is committed or answered, even if this fiber is interrupted meanwhile.
      const commitNext = Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          if (line.length() === 0) yield* restore(Queue.take(signal))
          yield* nextTurn
          yield* commitArrived
        })
      )
      yield* keepRunning("commit fiber", Effect.forever(commitNext))

      const failOverdue = Effect.suspend(() => {
        const time = now()
        line.dropOverdue(time)
        const overdue = Arr.filter(waiting, (entry) => entry.deadline <= time)
        return overdue.length > 0 ? fail(overdue) : health.report
      })
      yield* keepRunning("write watchdog", Effect.forever(Effect.zipRight(Effect.sleep("250 millis"), failOverdue)))

      const add = (command: Command, patience: number, answer: WaitingCommand["answer"]) => {
        waiting.add(line.join(command, now() + patience, answer))
        signal.unsafeOffer(undefined)
      }

      const enqueue = <C extends Command>(command: C, patience: number) =>
        Effect.async<Answer<C>, StorageUnavailable>((resume) =>
          add(command, patience, (exit) => resume(asAnswer<C>(exit)))
        )

      let probing: Deferred.Deferred<boolean> | undefined
      /** Tries a write, once for all who ask meanwhile: whether it succeeded. */
      const startProbe = () => {
        if (probing !== undefined) return probing
        const probed = Deferred.unsafeMake<boolean>(FiberId.none)
        probing = probed
        add(Command.Probe(), patienceMillis, (exit) => {
          if (probing === probed) probing = undefined
          Deferred.unsafeDone(probed, Effect.succeed(Exit.isSuccess(exit)))
        })
        return probed
      }

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
        Effect.suspend(() => (line.hasRoomFor(count) ? write : new StorageUnavailable({})))

      return {
        write: (command) => ifRoomFor(1, enqueue(command, patienceMillis)),
        writeAll: (commands) =>
          commands.length === 0 ? Effect.succeed([]) : ifRoomFor(commands.length, all(commands)),
        settle,
        ready: Effect.suspend(() =>
          health.isProven()
            ? Effect.succeed(true)
            : Effect.timeoutTo(Deferred.await(startProbe()), {
                duration: probeMillis,
                onSuccess: (succeeded) => succeeded,
                onTimeout: health.isHealthy
              })
        )
      }
    })
  )
}
