import { DateTime, Duration, Effect, Either, type Exit, Option, Random } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import type { CountedOutcome } from "../observe/Metrics.ts"
import { type Claim, Command, Outcome } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { type AttemptFailure, resultOrFailure } from "./AttemptEnd.ts"
import type { Permit } from "./Permit.ts"

/** What became of a run, and the code of what went wrong with it. */
export interface RunEnd {
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

/** What lines in the log about a run name it by. */
export const runAnnotations = ({ attempt, order, run }: Claim) => ({ order_id: order.order_id, run, attempt })

/** Records how attempts end: reports to the breaker, decides whether there is to be another one, and waits for the commit. */
export const makeAttemptRecord = Effect.gen(function* () {
  const commits = yield* GroupCommit
  const { maxAttempts, retryBase, retryMax } = yield* AppConfig
  const clock = yield* Effect.clock
  const monotonic = yield* monotonicMillis

  const afterFailure = Effect.fnUntraced(function* (
    claim: Claim,
    failure: AttemptFailure,
    permit: Permit,
    at: DateTime.Utc
  ) {
    const { attempt, key } = claim
    const { code, delay, message, retry, verdict } = failure
    const counts = permit.report(key, verdict, delay, code)
    if (!(yield* Effect.annotateLogs(counts, runAnnotations(claim)))) {
      // A probe goes to the end of the line, so that the next one is another order.
      const wait = delay === undefined ? Option.liftPredicate(0, () => permit.isProbe) : Option.some(millis(delay))
      return Outcome.Released({ wait, why: Option.some({ code, message }) })
    }
    const error = { code, message, attempt, at }
    if (!retry || attempt >= maxAttempts) return Outcome.Failed({ error })
    const wait = Math.max(yield* backoff(attempt, retryBase, retryMax), delay === undefined ? 0 : millis(delay))
    return Outcome.Postponed({ error, wait })
  })

  return Effect.fnUntraced(function* (
    claim: Claim,
    permit: Permit,
    exit: Exit.Exit<unknown, unknown>
  ): Effect.fn.Return<RunEnd> {
    const at = DateTime.unsafeMake(clock.unsafeCurrentTimeMillis())
    const took = monotonic() - claim.begunAt
    const record = (outcome: Outcome) =>
      Effect.map(commits.settle(Command.Record({ key: claim.key, run: claim.run, outcome, at, took })), (result) => ({
        outcome,
        isRecorded: result._tag === "Recorded"
      }))
    const attempted = resultOrFailure(exit)
    const { isRecorded, outcome } = yield* Either.match(attempted, {
      onLeft: (failure) => afterFailure(claim, failure, permit, at),
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
        Effect.annotateLogs({ ...runAnnotations(claim), error_code: outcome.error.code })
      )
    }
    return { outcome: endedAs[outcome._tag], error }
  })
})
