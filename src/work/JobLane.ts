import { Cause, Effect, Option, Queue } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { keepRunning } from "../KeepRunning.ts"
import { makeLogLimit } from "../LogLimit.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import type { StorageUnavailable } from "../order/Order.ts"
import type { RowKey } from "../order/OrderChange.ts"
import { type Claim, Command, type Lane } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import type { Job } from "../store/Job.ts"
import { OrderEvents } from "../store/OrderEvents.ts"
import type { Nodes } from "../store/OrdersRepo.ts"
import { makeHandout } from "./Handout.ts"
import { makeJobPace } from "./JobPace.ts"
import type { Ticket } from "./Ticket.ts"
import { makeUnwantedJobs } from "./UnwantedJobs.ts"

/** After how many milliseconds the engine is asked again without a signal: for retries that came due, and jobs handed on. */
const askAgain = { open: 500, suspect: 2000 } as const satisfies Record<Lane, number>
/** How many milliseconds are left between two questions at least: orders that come in a stream are fetched together. */
const gather = 40

/** What this node has in its hands of a lane, and the fiber that fetches more. */
export const makeJobLane = Effect.fnUntraced(function* (
  lane: Lane,
  workers: number,
  { fetch }: Pick<Nodes, "fetch">,
  onDepth: (depth: number) => void
) {
  const commits = yield* GroupCommit
  const events = yield* OrderEvents
  const { maxAttempts } = yield* AppConfig
  const limited = yield* makeLogLimit
  const wake = yield* Queue.sliding<void>(1)
  const pace = makeJobPace(workers, yield* monotonicMillis)
  let ready = true
  /** There may be more jobs than were fetched. */
  let behind = true
  let isClosed = false
  /** Whether the last order came to nothing here: as long as none can be begun, others are to have them. */
  let isWary = false
  /** The jobs under which this node processes orders. */
  const running = new Map<RowKey, Job>()
  const unwanted = makeUnwantedJobs(commits)

  const { depth, held, offer, take, takeBack } = yield* makeHandout<Job>(
    2 * workers,
    (left) => {
      onDepth(left)
      if (behind && left <= workers / 2) wake.unsafeOffer(undefined)
    },
    (job) => {
      if (running.get(job.key) === job) return
      isWary = true
      unwanted.add([job])
      wake.unsafeOffer(undefined)
    }
  )

  yield* events.listen(({ changes }) => {
    for (const { from, key, run, to } of changes) {
      const job = held.get(key)
      if (to === "Processing" && job?.run === run - 1) {
        running.set(key, job)
        isWary = false
      } else if (Option.contains(from, "Processing") && running.delete(key)) {
        pace.ended()
        if (behind) wake.unsafeOffer(undefined)
      }
    }
  })
  yield* events.follow((changes) => {
    for (const { from, key, run, to } of changes) {
      // Another node has ended the run, or what was to become one: it was cancelled there, or taken for lost.
      if (Option.contains(from, "Processing") && running.get(key)?.run === run - 1) running.delete(key)
      if (Option.contains(from, "Pending") && to !== "Processing" && held.get(key)?.run === run) {
        held.delete(key)
      }
      // A new order is no suspect.
      if (to === "Pending" && (lane === "open" || Option.isSome(from))) {
        behind = true
        wake.unsafeOffer(undefined)
      }
    }
  })

  const fill = Effect.gen(function* () {
    behind = false
    const count = Math.min(isWary ? 1 : 2 * workers, pace.room() - running.size) - held.size
    if (count < 1) {
      behind = true
      return
    }
    const jobs = yield* fetch(lane, count)
    ready = true
    behind ||= jobs.length === count
    const hadByOthers = jobs.filter(({ delivery }) => delivery > 0)
    const lost = yield* lose(hadByOthers)
    unwanted.add(jobs.filter((job) => !lost.has(job.key) && !offer(job)))
    onDepth(depth())
  })

  /** Ends what others left Processing under these jobs. Without an answer, the claim finds out. */
  const lose = Effect.fnUntraced(function* (jobs: ReadonlyArray<Job>) {
    if (jobs.length === 0) return new Set<RowKey>()
    const result = yield* Effect.option(commits.write(Command.Lose({ jobs, maxAttempts })))
    const keys = Option.match(result, { onNone: () => [], onSome: ({ keys }) => keys })
    if (keys.length > 0) yield* Effect.logInfo(`${keys.length} orders were in the hands of a node that is gone`)
    return new Set(keys)
  })

  const giveUpLine = Effect.map(takeBack, (jobs) => {
    unwanted.add(jobs)
    onDepth(0)
  })
  const close = Effect.suspend(() => {
    isClosed = true
    return Effect.zipLeft(giveUpLine, Queue.offer(wake, undefined))
  })
  yield* Effect.addFinalizer(() =>
    Effect.zipRight(close, unwanted.giveBack).pipe(Effect.interruptible, Effect.timeout("2 seconds"), Effect.ignore)
  )

  const unreadable = Effect.fnUntraced(function* (cause: Cause.Cause<StorageUnavailable>) {
    ready = false
    if (Cause.isDie(cause)) yield* limited("read", Effect.logError("Jobs cannot be fetched", cause))
    yield* Effect.interruptible(Effect.sleep("1 second"))
  })
  // What was fetched must not be forgotten.
  const feed = Effect.uninterruptible(
    Effect.catchAllCause(
      Effect.gen(function* () {
        if (depth() > 0 && pace.isStuck(running.size)) yield* giveUpLine
        yield* unwanted.giveBack
        if (!isClosed) yield* fill
      }),
      unreadable
    )
  )
  yield* keepRunning(
    `feeder of the ${lane} lane`,
    feed.pipe(
      Effect.zipRight(Effect.sleep(gather)),
      Effect.zipRight(Effect.timeoutOption(Queue.take(wake), askAgain[lane])),
      Effect.forever
    )
  )

  const jobs = () => [...held.values(), ...running.values()]
  return {
    take: <A, E, R>(use: (ticket: Ticket) => Effect.Effect<A, E, R>) =>
      take((job) => use({ key: job.key, job: Option.some(job) })),
    /** The worker of that run is done with it. If its end was not recorded, the job is free in ten seconds. */
    letGo: ({ key, run }: Pick<Claim, "key" | "run">) => {
      if (running.get(key)?.run === run - 1) running.delete(key)
    },
    close,
    isReady: () => ready,
    jobs
  }
})
