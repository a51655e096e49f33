import { Array as Arr, Cause, Effect, Exit, Option, Queue } from "effect"
import { keepRunning } from "../KeepRunning.ts"
import { makeLogLimit } from "../LogLimit.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { nextTurn } from "../NextTurn.ts"
import { StorageUnavailable } from "../order/Order.ts"
import { Command, type Result } from "./Command.ts"
import { makeCommitLine, type WaitingCommand } from "./CommitLine.ts"
import { OrderEvents } from "./OrderEvents.ts"
import { OrdersRepo } from "./OrdersRepo.ts"
import { makeWriteHealth, type WriteHealth } from "./WriteHealth.ts"

/** How long a caller is kept waiting, in milliseconds. */
export const patienceMillis = 10_000
/** How long closing waits for the last writes. */
const flushMillis = 2000
/** How many commands one transaction takes. */
const maxBatch = 1000

const isProbe = ({ command }: WaitingCommand) => command._tag === "Probe"

/** Writes a batch, publishes what it changed, and answers each of its callers. */
const makeCommitBatch = Effect.fnUntraced(function* (
  health: WriteHealth,
  answer: (entry: WaitingCommand, exit: Exit.Exit<Result, StorageUnavailable>) => void,
  fail: (entries: ReadonlyArray<WaitingCommand>) => Effect.Effect<void>
) {
  const repo = yield* OrdersRepo
  const events = yield* OrderEvents
  const limited = yield* makeLogLimit

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
      else if (written) health.startProbe()
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
  return commitBatch
})

/**
 * Starts three fibers. The first commits what has been added: all that one turn of the event loop brought, in one
 * transaction. The second fails the commands that have waited too long. The third tries a write while it is not known
 * whether the last one was committed.
 */
export const makeCommitFiber = Effect.gen(function* () {
  const { isUnsure } = yield* OrdersRepo
  const now = yield* monotonicMillis
  const line = makeCommitLine()
  const signal = yield* Queue.sliding<void>(1)
  /** Those in line, and those whose transaction runs: what of these has been answered may be stored all the same. */
  const waiting = new Set<WaitingCommand>()

  const add = (command: Command, patience: number, answer: WaitingCommand["answer"]) => {
    waiting.add(line.join(command, now() + patience, answer))
    signal.unsafeOffer(undefined)
  }
  const health = yield* makeWriteHealth((answer) =>
    add(Command.Probe(), patienceMillis, (exit) => answer(Exit.isSuccess(exit)))
  )

  const answer = (entry: WaitingCommand, exit: Exit.Exit<Result, StorageUnavailable>) => {
    waiting.delete(entry)
    entry.answer(exit)
  }
  const fail = (entries: ReadonlyArray<WaitingCommand>) =>
    Effect.map(health.failed, () => {
      for (const entry of entries) answer(entry, Exit.fail(new StorageUnavailable({})))
    })

  const commitBatch = yield* makeCommitBatch(health, answer, fail)
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
  // What was committed though its write failed comes out with the next one, for which nobody may ask.
  const probe = Effect.sync(() => isUnsure() && health.startProbe())
  yield* keepRunning("write probe", Effect.forever(Effect.zipRight(Effect.sleep("1 second"), probe)))

  return { add, hasRoomFor: line.hasRoomFor, ready: health.ready }
})
