import {
  Array as Arr,
  Cause,
  DateTime,
  Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  FiberMap,
  Inspectable,
  Layer,
  Option,
  Random,
  Runtime,
  Schedule
} from "effect"
import { AppConfig } from "./AppConfig.ts"
import { type Claim, Command, type Lane, Outcome, type RowKey } from "./Command.ts"
import { GroupCommit } from "./GroupCommit.ts"
import { isDeeperThan, maxDepth } from "./Json.ts"
import { Metrics } from "./Metrics.ts"
import { OrderEvents } from "./OrderEvents.ts"
import { OrderProcessor, Permanent, Retryable, Unavailable } from "./OrderProcessor.ts"
import { OrderQueue } from "./OrderQueue.ts"

const maxCode = 64
const maxMessage = 1024
const maxResult = 65_536
/** The longest delay a processor can ask for: a year, in milliseconds. */
const longestDelay = 365 * 86_400_000

interface Failure {
  readonly code: string
  readonly message: string
  /** Whether another attempt may help; `delay` is waited in place of the backoff. */
  readonly retry: boolean
  readonly delay?: Duration.Duration | undefined
}

const failure = (cause: Cause.Cause<unknown>): Failure => {
  const error = Cause.squash(cause)
  if (Cause.isInterruptedOnly(cause)) {
    return { code: "interrupted", message: "The processor interrupted itself", retry: true }
  }
  if (error instanceof Permanent) return { code: error.code, message: error.message, retry: false }
  if (error instanceof Retryable) {
    return { code: error.code ?? "retryable", message: error.message, retry: true, delay: error.delay }
  }
  if (error instanceof Unavailable) {
    return { code: "unavailable", message: error.message, retry: true, delay: error.delay }
  }
  const message = error instanceof Error ? error.message : Inspectable.toStringUnknown(error)
  return { code: "defect", message, retry: true }
}

const unrecordable = { code: "unrecordable", message: "The outcome of the attempt could not be recorded" }

const invalidResult = (message: string): Failure => ({ code: "invalid_result", message, retry: false })

/** The result as JSON would bring it back, so that what is kept is what was given. */
const resultOf = (value: unknown): Either.Either<Option.Option<unknown>, Failure> => {
  if (value === undefined) return Either.right(Option.none())
  const json = Option.flatMapNullable(Option.liftThrowable(JSON.stringify)(value), (json) => json)
  if (Option.isNone(json)) return Either.left(invalidResult("The processor's result is not JSON"))
  if (json.value.length > maxResult) {
    return Either.left(invalidResult(`The processor's result has more than ${maxResult} characters of JSON`))
  }
  const result: unknown = JSON.parse(json.value)
  return isDeeperThan(result, maxDepth)
    ? Either.left(invalidResult(`The processor's result is nested deeper than ${maxDepth} levels`))
    : Either.right(Option.some(result))
}

/**
 * Full jitter: anything from nothing to the cap, which doubles with each attempt. See "Exponential Backoff And Jitter",
 * AWS Architecture Blog, 2015.
 */
const backoff = (attempt: number, base: Duration.Duration, max: Duration.Duration) =>
  Effect.map(
    Random.nextRange(0, Math.min(Duration.toMillis(max), Duration.toMillis(base) * 2 ** (attempt - 1))),
    Math.round
  )

/**
 * `WORKERS` fibers, each: take -> claim -> process -> record; and one more that works the suspects. A worker keeps its
 * order until the outcome is committed, and nothing that happens to one order ends a worker.
 *
 * At the start, what a crash left Processing becomes Pending again. At the end the workers take no more and have
 * `SHUTDOWN_GRACE` to finish what they hold; what is not finished then is put back, uncounted.
 */
export const OrderWorkersLive = Layer.scopedDiscard(
  Effect.gen(function* () {
    const commits = yield* GroupCommit
    const events = yield* OrderEvents
    const queue = yield* OrderQueue
    const processor = yield* OrderProcessor
    const metrics = yield* Metrics
    const { attemptTimeout, maxAttempts, retryBase, retryMax, shutdownGrace, workers } = yield* AppConfig

    const attempts = yield* FiberMap.make<RowKey, unknown, unknown>()
    /** Cancelled while a worker holds them, be it before, during or after the attempt. */
    const cancelled = new Set<RowKey>()
    let stopping = false
    let graceIsOver = false

    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    yield* events.listen(({ changes }) => {
      for (const { from, key, status } of changes) {
        // Asked for again and claimed anew, perhaps while another worker still holds the cancelled run.
        if (status === "Processing") cancelled.delete(key)
        if (status !== "Cancelled" || !Option.contains(from, "Processing")) continue
        cancelled.add(key)
        runFork(FiberMap.remove(attempts, key))
      }
    })

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

    const outcomeOf = Effect.fnUntraced(function* (exit: Exit.Exit<unknown, unknown>, attempt: number) {
      const result = Exit.match(exit, { onFailure: (cause) => Either.left(failure(cause)), onSuccess: resultOf })
      if (Either.isRight(result)) return Outcome.Completed({ result: result.right })
      const { code, delay, message, retry } = result.left
      const at = yield* DateTime.now
      const error = { code: code.slice(0, maxCode), message: message.slice(0, maxMessage), attempt, at }
      if (!retry || attempt >= maxAttempts) return Outcome.Failed({ error })
      const wait =
        delay === undefined
          ? yield* backoff(attempt, retryBase, retryMax)
          : Math.round(Math.min(Duration.toMillis(delay), longestDelay))
      return Outcome.Postponed({ error, dueAt: DateTime.add(at, { millis: wait }) })
    })

    const processClaimed = Effect.fnUntraced(function* (claim: Claim) {
      if (cancelled.has(claim.key)) return
      const exit = yield* Effect.flatMap(FiberMap.run(attempts, claim.key, attempt(claim)), Fiber.await)
      if (cancelled.has(claim.key)) return metrics.attemptEnded("cancelled")
      if (graceIsOver && Exit.isInterrupted(exit)) return metrics.attemptEnded("released")
      const at = yield* DateTime.now
      const record = (outcome: Outcome) =>
        Effect.map(commits.settle(Command.Record({ key: claim.key, run: claim.run, outcome, at })), (result) => ({
          outcome,
          isRecorded: result._tag === "Recorded"
        }))
      const { isRecorded, outcome } = yield* Effect.flatMap(outcomeOf(exit, claim.attempt), record).pipe(
        // Whatever is wrong with the outcome, the order must not stay in the worker's hands for ever.
        Effect.catchAllCause(() => record(Outcome.Failed({ error: { ...unrecordable, attempt: claim.attempt, at } })))
      )
      if (!isRecorded) return metrics.attemptEnded("superseded")
      metrics.attemptEnded(outcome._tag.toLowerCase())
      if (outcome._tag === "Completed") return
      yield* Effect.log(
        `Order ${outcome._tag === "Failed" ? "failed" : "to be tried again"}: ${outcome.error.code}`
      ).pipe(Effect.annotateLogs({ order_id: claim.order.order_id, run: claim.run, attempt: claim.attempt }))
    })

    const handle = Effect.fnUntraced(
      function* (lane: Lane, key: RowKey) {
        if (stopping) return
        // Without an answer it may or may not have been claimed; giving it back makes it Pending in both cases.
        const result = yield* Effect.orElse(commits.write(Command.Claim({ key })), () =>
          commits.settle(Command.Release({ key: Option.some(key), counted: false }))
        )
        queue.settled(lane, key)
        if (result._tag !== "Claimed") return
        metrics.workerBusy(1)
        yield* Effect.ensuring(
          processClaimed(result.claim),
          Effect.sync(() => {
            metrics.workerBusy(-1)
            cancelled.delete(key)
          })
        )
      },
      Effect.catchAllCause((cause) => Effect.logError("A worker met a defect and goes on", cause))
    )

    const ready = Effect.suspend(() => processor.ready).pipe(
      Effect.sandbox,
      Effect.tapError((cause) => Effect.logError("The processor cannot say whether it is ready", cause)),
      Effect.retry(Schedule.spaced("1 second")),
      Effect.orDie
    )

    const work = (lane: Lane) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(restore(Effect.zipLeft(queue.take(lane), ready)), (key) => handle(lane, key))
      ).pipe(Effect.forever, Effect.interruptible)

    const stop = Effect.fnUntraced(function* (fibers: ReadonlyArray<Fiber.RuntimeFiber<never>>) {
      stopping = true
      yield* Effect.forEach(fibers, Fiber.interruptFork, { discard: true })
      const idle = Effect.interruptible(Fiber.awaitAll(fibers))
      if (Option.isNone(yield* Effect.timeoutOption(idle, shutdownGrace))) {
        graceIsOver = true
        yield* FiberMap.clear(attempts)
        yield* Effect.timeoutOption(idle, "1 second")
      }
      const released = yield* commits
        .write(Command.Release({ key: Option.none(), counted: false }))
        .pipe(Effect.interruptible, Effect.timeout("2 seconds"), Effect.option)
      if (Option.isSome(released) && released.value._tag === "Released" && released.value.count > 0) {
        yield* Effect.logInfo(`Put back ${released.value.count} orders whose processing was not finished`)
      }
    })

    const recovered = yield* commits.settle(Command.Recover({ maxAttempts }))
    if (recovered._tag === "Recovered" && recovered.pending + recovered.failed > 0) {
      yield* Effect.logInfo(
        `The last process ended while it worked on ${recovered.pending + recovered.failed} orders; ` +
          `${recovered.pending} are worked again, ${recovered.failed} failed`
      )
    }
    const lanes: ReadonlyArray<Lane> = [...Arr.replicate("open" as const, workers), "suspect"]
    yield* Effect.acquireRelease(
      Effect.forEach(lanes, (lane) => Effect.forkDaemon(work(lane))),
      stop
    )
  })
)
