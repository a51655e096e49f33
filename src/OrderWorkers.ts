import { Cause, DateTime, Duration, Effect, Exit, Fiber, FiberMap, Layer, Option } from "effect"
import { AppConfig } from "./AppConfig.ts"
import { type Claim, Command, Outcome, type RowKey } from "./Command.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { Metrics } from "./Metrics.ts"
import { OrderProcessor, Permanent, Retryable, Unavailable } from "./OrderProcessor.ts"
import { OrderQueue } from "./OrderQueue.ts"

const maxCode = 64
const maxMessage = 1024
const maxResult = 65_536

/** Why an attempt failed, in the terms of an order's `last_error`. */
const failure = (cause: Cause.Cause<unknown>): { readonly code: string; readonly message: string } => {
  const error = Cause.squash(cause)
  if (Cause.isInterruptedOnly(cause)) return { code: "interrupted", message: "The processor interrupted itself" }
  if (error instanceof Permanent) return error
  if (error instanceof Retryable) return { code: error.code ?? "retryable", message: error.message }
  if (error instanceof Unavailable) return { code: "unavailable", message: error.message }
  return { code: "defect", message: error instanceof Error ? error.message : String(error) }
}

const outcomeOf = (exit: Exit.Exit<unknown, unknown>, attempt: number, at: DateTime.Utc): Outcome => {
  const failed = (code: string, message: string) =>
    Outcome.Failed({ error: { code: code.slice(0, maxCode), message: message.slice(0, maxMessage), attempt, at } })
  return Exit.match(exit, {
    onFailure: (cause) => {
      const { code, message } = failure(cause)
      return failed(code, message)
    },
    onSuccess: (value) => {
      if (value === undefined) return Outcome.Completed({ result: Option.none() })
      const json = Option.flatMapNullable(Option.liftThrowable(JSON.stringify)(value), (json) => json)
      return Option.match(json, {
        onNone: () => failed("invalid_result", "The processor's result is not JSON"),
        onSome: (json) =>
          json.length > maxResult
            ? failed("invalid_result", `The processor's result has more than ${maxResult} characters of JSON`)
            : Outcome.Completed({ result: Option.some(JSON.parse(json)) })
      })
    }
  })
}

/**
 * `WORKERS` fibers, each: take -> claim -> process -> record. A worker keeps its order until the outcome is committed,
 * and nothing that happens to one order ends a worker.
 *
 * At the start, what a crash left Processing becomes Pending again. At the end the workers take no more and have
 * `SHUTDOWN_GRACE` to finish what they hold; what is not finished then is put back, uncounted.
 */
export const OrderWorkersLive = Layer.scopedDiscard(
  Effect.gen(function* () {
    const commits = yield* GroupCommit
    const queue = yield* OrderQueue
    const processor = yield* OrderProcessor
    const metrics = yield* Metrics
    const { attemptTimeout, shutdownGrace, workers } = yield* AppConfig

    const attempts = yield* FiberMap.make<RowKey, unknown, unknown>()
    let stopping = false
    let graceIsOver = false

    const attempt = ({ attempt, order, run }: Claim) =>
      Effect.suspend(() => processor.process(order, { run, attempt })).pipe(
        // An attempt that will not be interrupted is left to itself, so that it never holds its worker.
        Effect.disconnect,
        Effect.timeoutFail({
          duration: attemptTimeout,
          onTimeout: () =>
            new Retryable({ code: "timeout", message: `No outcome within ${Duration.format(attemptTimeout)}` })
        }),
        Effect.interruptible
      )

    const process = Effect.fnUntraced(function* (claim: Claim) {
      const exit = yield* Effect.flatMap(FiberMap.run(attempts, claim.key, attempt(claim)), Fiber.await)
      if (graceIsOver && Exit.isInterrupted(exit)) return metrics.attemptEnded("released")
      const at = yield* DateTime.now
      const outcome = outcomeOf(exit, claim.attempt, at)
      yield* commits.settle(Command.Record({ key: claim.key, run: claim.run, outcome, at }))
      if (outcome._tag === "Completed") return metrics.attemptEnded("completed")
      metrics.attemptEnded("failed")
      yield* Effect.logInfo(`Order failed: ${outcome.error.code}`).pipe(
        Effect.annotateLogs({ order_id: claim.order.order_id, run: claim.run })
      )
    })

    const handle = Effect.fnUntraced(
      function* (key: RowKey) {
        if (stopping) return
        // Without an answer it may or may not have been claimed; giving it back makes it Pending in both cases.
        const result = yield* Effect.orElse(commits.write(Command.Claim({ key })), () =>
          commits.settle(Command.Release({ key: Option.some(key), counted: false }))
        )
        yield* queue.settled(key)
        if (result._tag !== "Claimed") return
        metrics.workerBusy(1)
        yield* Effect.ensuring(
          process(result.claim),
          Effect.sync(() => metrics.workerBusy(-1))
        )
      },
      Effect.catchAllCause((cause) => Effect.logError("A worker met a defect and goes on", cause))
    )

    const work = Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(Effect.zipLeft(queue.take, processor.ready)), handle)
    ).pipe(Effect.forever)

    const stop = Effect.fnUntraced(function* (fibers: ReadonlyArray<Fiber.RuntimeFiber<never>>) {
      stopping = true
      yield* Effect.forEach(fibers, Fiber.interruptFork, { discard: true })
      const idle = Effect.interruptible(Fiber.awaitAll(fibers))
      if (Option.isNone(yield* Effect.timeoutOption(idle, shutdownGrace))) {
        graceIsOver = true
        yield* FiberMap.clear(attempts)
        yield* Effect.timeoutOption(idle, "1 second")
      }
      const released = yield* Effect.option(commits.write(Command.Release({ key: Option.none(), counted: false })))
      if (Option.isSome(released) && released.value._tag === "Released" && released.value.count > 0) {
        yield* Effect.logInfo(`Put back ${released.value.count} orders whose processing was not finished`)
      }
    })

    const recovered = yield* commits.settle(Command.Release({ key: Option.none(), counted: true }))
    if (recovered._tag === "Released" && recovered.count > 0) {
      yield* Effect.logInfo(`Recovered ${recovered.count} orders that were being processed when the service ended`)
    }
    yield* Effect.acquireRelease(Effect.replicateEffect(Effect.forkDaemon(Effect.interruptible(work)), workers), stop)
  })
)
