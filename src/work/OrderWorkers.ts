import { Array as Arr, Cause, Deferred, Effect, Fiber, Layer, Option } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { Metrics } from "../observe/Metrics.ts"
import { StartupError } from "../StartupError.ts"
import { type Claim, Command, type Lane } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"
import { runAnnotations } from "./AttemptRecord.ts"
import { makeClaiming } from "./Claiming.ts"
import { OrderQueue } from "./OrderQueue.ts"
import type { Permit } from "./Permit.ts"
import { makeProcessing } from "./Processing.ts"
import { sweeping } from "./Sweeping.ts"

/** What a crash left Processing becomes Pending again, or fails. A database that is damaged ends the start. */
const recover = Effect.gen(function* () {
  const commits = yield* GroupCommit
  const repo = yield* OrdersRepo
  const { maxAttempts } = yield* AppConfig
  const fault = Effect.flatMap(Deferred.await(repo.fault), (what) => new StartupError({ lines: [what] }))
  const recovered = yield* Effect.raceFirst(commits.settle(Command.Recover({ maxAttempts })), fault)
  // Reading may have met damage too, by now.
  yield* Effect.whenEffect(fault, Deferred.isDone(repo.fault))
  if (recovered.pending + recovered.failed > 0) {
    yield* Effect.logInfo(
      `The last process ended while it worked on ${recovered.pending + recovered.failed} orders; ` +
        `${recovered.pending} are processed again, ${recovered.failed} failed`
    )
  }
})

/**
 * `WORKERS` fibers, each: take -> wait for the processor -> claim -> process -> record; and one more for the
 * suspects. A worker keeps its order until the outcome is committed, and nothing that happens to one order ends a worker.
 *
 * At the start, what a crash left Processing becomes Pending again; where there are several nodes, as soon as it is seen that
 * the one that had it is gone. At the end the workers take no more and have
 * `SHUTDOWN_GRACE` to finish what they hold; what is not finished then is put back, uncounted.
 */
export const OrderWorkersLive = Layer.scopedDiscard(
  Effect.gen(function* () {
    const commits = yield* GroupCommit
    const queue = yield* OrderQueue
    const metrics = yield* Metrics
    const { role, shutdownGrace, workers } = yield* AppConfig
    const { nodes } = yield* OrdersRepo
    /** Whether the orders are this process's alone: then so is all that is Processing. */
    const hasAll = Option.isNone(nodes)
    let stopping = false
    const held = new Set<Claim>()
    const { claimDue, underWay } = yield* makeClaiming(() => stopping)
    const processing = yield* makeProcessing

    /** Only a shutdown ends a worker. */
    const survive = (logAnnotations: Record<string, unknown>) =>
      Effect.catchAllCause((cause) =>
        stopping && Cause.isInterruptedOnly(cause)
          ? Effect.interrupt
          : Effect.annotateLogs(Effect.logError("A worker met a defect and goes on", cause), logAnnotations)
      )

    const handle = Effect.fnUntraced(function* (
      lane: Lane,
      { claim, permit }: { readonly claim: Claim; readonly permit: Permit }
    ) {
      held.add(claim)
      metrics.workerBusy(1)
      /** Whether it is Processing yet, to be put back at the end. */
      let isLeft = false
      if (!processing.isEnded(claim)) {
        const ended = Effect.map(
          Effect.suspend(() => processing.process(claim, permit)),
          ({ outcome }) => {
            metrics.attemptEnded(outcome)
            isLeft = stopping && outcome === "released"
          }
        )
        yield* survive(runAnnotations(claim))(ended)
      }
      metrics.workerBusy(-1)
      processing.forget(claim)
      if (!isLeft) {
        held.delete(claim)
        queue.letGo(lane, claim)
      }
      permit.giveBack()
    })

    /** Can be interrupted only while it waits for an order. */
    const work = Effect.fnUntraced(function* (lane: Lane) {
      const workNext = Effect.flatMap(
        queue.take(lane, claimDue),
        Option.match({ onNone: () => Effect.void, onSome: (claimed) => handle(lane, claimed) })
      )
      while (true) yield* survive({})(workNext)
    }, Effect.uninterruptible)

    /** Of the runs that this node has, and those that it is about to have. */
    const releasesOfOwn = () => {
      const runs = [...Array.from(held, ({ key, run }) => ({ key, run: Option.some(run) })), ...underWay()]
      return runs.map(({ key, run }) => Command.Release({ key: Option.some(key), run }))
    }

    const stop = Effect.fnUntraced(function* (fibers: ReadonlyArray<Fiber.RuntimeFiber<never>>) {
      stopping = true
      yield* Effect.forEach(fibers, Fiber.interruptFork, { discard: true })
      yield* queue.close
      const idle = Effect.interruptible(Fiber.awaitAll(fibers))
      if (Option.isNone(yield* Effect.timeoutOption(idle, shutdownGrace))) {
        processing.interruptAll()
        yield* Effect.timeoutOption(idle, "1 second")
      }
      const releases = hasAll ? [Command.Release({ key: Option.none(), run: Option.none() })] : releasesOfOwn()
      const released = yield* commits
        .writeAll(releases)
        .pipe(Effect.interruptible, Effect.timeout("2 seconds"), Effect.option)
      const count = Option.match(released, {
        onNone: () => 0,
        onSome: (results) => results.reduce((sum, { count }) => sum + count, 0)
      })
      if (count > 0) yield* Effect.logInfo(`Put back ${count} orders whose processing was not finished`)
    })

    yield* hasAll ? recover : sweeping
    if (role === "api") return
    const lanes: ReadonlyArray<Lane> = [...Arr.replicate("open" as const, workers), "suspect"]
    yield* Effect.acquireRelease(
      Effect.forEach(lanes, (lane) => Effect.forkDaemon(work(lane))),
      stop
    )
  })
)
