import {
  Array as Arr,
  Cause,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  Layer,
  Option,
  Random,
  type Tracer
} from "effect"
import { AppConfig } from "../AppConfig.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { type CountedOutcome, Metrics } from "../observe/Metrics.ts"
import { inSpan, isTraced, passingTracesOn, spanOf } from "../observe/TraceContext.ts"
import type { RowKey } from "../order/OrderChange.ts"
import { StartupError } from "../StartupError.ts"
import { type Claim, Command, type Lane, Outcome } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { OrderEvents } from "../store/OrderEvents.ts"
import { OrdersRepo } from "../store/OrdersRepo.ts"
import { type AttemptFailure, resultOrFailure } from "./AttemptEnd.ts"
import { makeAttempts } from "./Attempts.ts"
import { CircuitBreaker, type Permit } from "./CircuitBreaker.ts"
import { OrderProcessor } from "./OrderProcessor.ts"
import { OrderQueue } from "./OrderQueue.ts"

/** What became of a run, and the code of what went wrong with it. */
interface Ended {
  readonly outcome: CountedOutcome
  readonly error?: string | undefined
}

/** The longest delay a processor can ask for: a year, in milliseconds. */
const longestDelay = 365 * 86_400_000

const millis = (delay: Duration.Duration) => Math.round(Math.min(Duration.toMillis(delay), longestDelay))

const endedAs = { Completed: "completed", Failed: "failed", Postponed: "postponed", Released: "released" } as const

const unrecordable = { code: "unrecordable", message: "The outcome of the attempt could not be recorded" }

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
 * `WORKERS` fibers, each: take -> wait for the processor -> claim -> process -> record; and one more that works the
 * suspects. A worker keeps its order until the outcome is committed, and nothing that happens to one order ends a worker.
 *
 * At the start, what a crash left Processing becomes Pending again. At the end the workers take no more and have
 * `SHUTDOWN_GRACE` to finish what they hold; what is not finished then is put back, uncounted.
 */
export const OrderWorkersLive = Layer.scopedDiscard(
  Effect.gen(function* () {
    const commits = yield* GroupCommit
    const repo = yield* OrdersRepo
    const events = yield* OrderEvents
    const queue = yield* OrderQueue
    const processor = yield* OrderProcessor
    const breaker = yield* CircuitBreaker
    const metrics = yield* Metrics
    const { maxAttempts, retryBase, retryMax, shutdownGrace, workers } = yield* AppConfig

    const traced = yield* isTraced
    const clock = yield* Effect.clock
    const now = () => DateTime.unsafeMake(clock.unsafeCurrentTimeMillis())
    const monotonic = yield* monotonicMillis

    const attempts = yield* traced ? makeAttempts : passingTracesOn(makeAttempts)
    /** Cancelled while a worker holds them, be it before, during or after the attempt. */
    const cancelled = new Set<RowKey>()
    let stopping = false
    let graceIsOver = false

    yield* events.listen(({ changes }) => {
      for (const { from, key, status } of changes) {
        // Asked for again and claimed anew, perhaps while another worker still holds the cancelled run.
        if (status === "Processing") cancelled.delete(key)
        if (status !== "Cancelled" || !Option.contains(from, "Processing")) continue
        cancelled.add(key)
        attempts.interrupt(key)
      }
    })

    const logAnnotations = ({ attempt, order, run }: Claim) => ({ order_id: order.order_id, run, attempt })

    const attempt = ({ attempt, order, round, run, traceparent }: Claim, span: Option.Option<Tracer.Span>) => {
      const processed = Effect.suspend(() =>
        processor.process(order, { run, attempt, idempotencyKey: `${order.order_id}:${round}` })
      )
      const parent = Option.orElse(span, () => Option.flatMap(traceparent, spanOf))
      return Option.isSome(parent) ? Effect.withParentSpan(processed, parent.value) : processed
    }

    const afterFailure = Effect.fnUntraced(function* (claim: Claim, failure: AttemptFailure, permit: Permit) {
      const { attempt, key } = claim
      const { code, delay, message, retry, verdict } = failure
      const counts = permit.report(key, verdict, delay, code)
      if (!(yield* Effect.annotateLogs(counts, logAnnotations(claim)))) {
        // A probe goes to the end of the line, so that the next one is another order.
        const wait = delay === undefined ? Option.liftPredicate(0, () => permit.isProbe) : Option.some(millis(delay))
        return Outcome.Released({ wait })
      }
      const error = { code, message, attempt, at: now() }
      if (!retry || attempt >= maxAttempts) return Outcome.Failed({ error })
      const wait = Math.max(yield* backoff(attempt, retryBase, retryMax), delay === undefined ? 0 : millis(delay))
      return Outcome.Postponed({ error, wait })
    })

    const processClaimed = Effect.fnUntraced(function* (
      claim: Claim,
      permit: Permit,
      span: Option.Option<Tracer.Span> = Option.none()
    ): Effect.fn.Return<Ended> {
      const exit = yield* attempts.run(claim.key, attempt(claim, span), logAnnotations(claim))
      if (cancelled.has(claim.key)) return { outcome: "cancelled" }
      if (graceIsOver && Exit.isInterrupted(exit)) return { outcome: "released" }
      const at = now()
      const took = monotonic() - claim.begunAt
      const record = (outcome: Outcome) =>
        Effect.map(commits.settle(Command.Record({ key: claim.key, run: claim.run, outcome, at, took })), (result) => ({
          outcome,
          isRecorded: result._tag === "Recorded"
        }))
      const attempted = resultOrFailure(exit)
      const { isRecorded, outcome } = yield* Either.match(attempted, {
        onLeft: (failure) => afterFailure(claim, failure, permit),
        onRight: (result) => Effect.as(permit.report(claim.key, "available"), Outcome.Completed({ result }))
      }).pipe(
        Effect.flatMap(record),
        // Whatever is wrong with the outcome, the order must not stay in the worker's hands for ever.
        Effect.catchAllCause(() => record(Outcome.Failed({ error: { ...unrecordable, attempt: claim.attempt, at } })))
      )
      const error = "error" in outcome ? outcome.error.code : Either.isLeft(attempted) ? attempted.left.code : undefined
      if (!isRecorded) return { outcome: "superseded", error }
      if ("error" in outcome) {
        yield* Effect.log(outcome._tag === "Failed" ? "Order failed" : "Order to be tried again").pipe(
          Effect.annotateLogs({ ...logAnnotations(claim), error_code: outcome.error.code })
        )
      }
      return { outcome: endedAs[outcome._tag], error }
    })

    const processInSpan = (claim: Claim, permit: Permit) => {
      const { attempt, order, run, traceparent } = claim
      return inSpan(
        "orders process",
        {
          kind: "consumer",
          parent: Option.flatMap(traceparent, spanOf),
          attributes: { "orders.order_id": order.order_id, "orders.run": run, "orders.attempt": attempt }
        },
        (span) => processClaimed(claim, permit, Option.some(span)),
        (exit) =>
          Exit.isSuccess(exit)
            ? { attributes: { "orders.outcome": exit.value.outcome }, error: exit.value.error }
            : { attributes: {}, error: "defect" }
      )
    }

    /** Only a shutdown ends a worker. */
    const survive = (logAnnotations: Record<string, unknown>) =>
      Effect.catchAllCause((cause) =>
        stopping && Cause.isInterruptedOnly(cause)
          ? Effect.interrupt
          : Effect.annotateLogs(Effect.logError("A worker met a defect and goes on", cause), logAnnotations)
      )

    const ready: Effect.Effect<void> = Effect.catchAllCause(
      Effect.suspend(() => processor.ready),
      (cause) =>
        Effect.logError("The processor cannot say whether it is ready", cause).pipe(
          Effect.zipRight(Effect.sleep("1 second")),
          Effect.zipRight(ready)
        )
    )

    /** Without an answer it may or may not have been claimed; giving it back makes it Pending in both cases. */
    const claim = (key: RowKey) =>
      Effect.orElse(commits.write(Command.Claim({ key })), () =>
        commits.settle(Command.Release({ key: Option.some(key) }))
      )

    /** Claims an order, once the processor is there for it. */
    const claimDue = Effect.fnUntraced(function* (key: RowKey) {
      yield* Effect.interruptible(ready)
      const permit = yield* Effect.interruptible(breaker.admit(key))
      const giveBack = Effect.sync(permit.giveBack)
      const result = stopping ? undefined : yield* Effect.onError(claim(key), () => giveBack)
      if (result?._tag === "Claimed") return Option.some({ claim: result.claim, permit })
      yield* giveBack
      return Option.none()
    })

    const handle = Effect.fnUntraced(function* ({ claim, permit }: { readonly claim: Claim; readonly permit: Permit }) {
      metrics.workerBusy(1)
      if (!cancelled.has(claim.key)) {
        const processed = traced ? processInSpan(claim, permit) : processClaimed(claim, permit)
        const ended = Effect.map(processed, ({ outcome }) => metrics.attemptEnded(outcome))
        yield* survive(logAnnotations(claim))(ended)
      }
      metrics.workerBusy(-1)
      cancelled.delete(claim.key)
      permit.giveBack()
    })

    /** Can be interrupted only while it waits for an order. */
    const work = Effect.fnUntraced(function* (lane: Lane) {
      const workNext = Effect.flatMap(
        queue.take(lane, claimDue),
        Option.match({ onNone: () => Effect.void, onSome: handle })
      )
      while (true) yield* survive({})(workNext)
    }, Effect.uninterruptible)

    const stop = Effect.fnUntraced(function* (fibers: ReadonlyArray<Fiber.RuntimeFiber<never>>) {
      stopping = true
      yield* Effect.forEach(fibers, Fiber.interruptFork, { discard: true })
      const idle = Effect.interruptible(Fiber.awaitAll(fibers))
      if (Option.isNone(yield* Effect.timeoutOption(idle, shutdownGrace))) {
        graceIsOver = true
        attempts.interruptAll()
        yield* Effect.timeoutOption(idle, "1 second")
      }
      const released = yield* commits
        .write(Command.Release({ key: Option.none() }))
        .pipe(Effect.interruptible, Effect.timeout("2 seconds"), Effect.option)
      if (Option.isSome(released) && released.value.count > 0) {
        yield* Effect.logInfo(`Put back ${released.value.count} orders whose processing was not finished`)
      }
    })

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
    const lanes: ReadonlyArray<Lane> = [...Arr.replicate("open" as const, workers), "suspect"]
    yield* Effect.acquireRelease(
      Effect.forEach(lanes, (lane) => Effect.forkDaemon(work(lane))),
      stop
    )
  })
)
