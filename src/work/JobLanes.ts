import { Cause, Effect, Option, Queue } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { keepRunning } from "../KeepRunning.ts"
import { makeLogLimit } from "../LogLimit.ts"
import type { StorageUnavailable } from "../order/Order.ts"
import type { RowKey } from "../order/OrderChange.ts"
import { Command, type Lane } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import type { Job } from "../store/Job.ts"
import { OrderEvents } from "../store/OrderEvents.ts"
import type { Nodes } from "../store/OrdersRepo.ts"
import { makeHandout } from "./Handout.ts"
import { makeJobHeartbeat } from "./JobHeartbeat.ts"
import type { Ticket } from "./Ticket.ts"

/** After how many milliseconds the engine is asked again without a signal: for retries that came due, and jobs handed on. */
const askAgain = { open: 500, suspect: 2000 } as const satisfies Record<Lane, number>
/** How many milliseconds are left between two questions at least: orders that come one by one are fetched together. */
const gather = 20

/** What this node has in its hands of a lane, and the fiber that fetches more. */
const makeJobLane = Effect.fnUntraced(function* (
  lane: Lane,
  capacity: number,
  { fetch }: Nodes,
  onDepth: (depth: number) => void
) {
  const commits = yield* GroupCommit
  const events = yield* OrderEvents
  const { maxAttempts } = yield* AppConfig
  const limited = yield* makeLogLimit
  const wake = yield* Queue.sliding<void>(1)
  let ready = true
  /** There may be more jobs than were fetched. */
  let behind = true
  let isClosed = false
  /** The jobs under which this node processes orders. */
  const running = new Map<RowKey, Job>()
  /** Jobs that this node has and will not begin: its workers are about to end, or the claim came to nothing. */
  let unwanted: ReadonlyArray<Job> = []

  const { depth, held, offer, take, takeBack } = yield* makeHandout<Job>(
    capacity,
    (left) => {
      onDepth(left)
      if (behind && left <= capacity / 4) wake.unsafeOffer(undefined)
    },
    (job) => {
      if (running.get(job.key) === job) return
      unwanted = [...unwanted, job]
      wake.unsafeOffer(undefined)
    }
  )

  yield* events.listen(({ changes }) => {
    for (const { from, key, run, to } of changes) {
      const job = held.get(key)
      if (to === "Processing" && job?.run === run - 1) running.set(key, job)
      else if (Option.contains(from, "Processing")) running.delete(key)
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
    const room = capacity - held.size
    if (room < 1) {
      behind = true
      return
    }
    const jobs = yield* fetch(lane, room)
    ready = true
    behind ||= jobs.length === room
    const hadByOthers = jobs.filter(({ delivery }) => delivery > 0)
    const lost = yield* lose(hadByOthers)
    for (const job of jobs) if (!lost.has(job.key)) offer(job)
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

  const giveBack = Effect.gen(function* () {
    const jobs = unwanted
    if (jobs.length === 0) return
    yield* commits.write(Command.PutBack({ jobs }))
    const given = new Set(jobs)
    unwanted = unwanted.filter((job) => !given.has(job))
  })

  const close = Effect.gen(function* () {
    isClosed = true
    unwanted = [...unwanted, ...(yield* takeBack)]
    onDepth(0)
    wake.unsafeOffer(undefined)
  })
  yield* Effect.addFinalizer(() =>
    Effect.zipRight(close, giveBack).pipe(Effect.interruptible, Effect.timeout("2 seconds"), Effect.ignore)
  )

  const unreadable = Effect.fnUntraced(function* (cause: Cause.Cause<StorageUnavailable>) {
    ready = false
    if (Cause.isDie(cause)) yield* limited("read", Effect.logError("Jobs cannot be fetched", cause))
    yield* Effect.interruptible(Effect.sleep("1 second"))
  })
  // What was fetched must not be forgotten.
  const feed = Effect.uninterruptible(
    Effect.catchAllCause(
      Effect.zipRight(
        giveBack,
        Effect.unless(fill, () => isClosed)
      ),
      unreadable
    )
  )
  yield* keepRunning(
    `feeder of the ${lane} lane`,
    feed.pipe(
      Effect.zipRight(Effect.timeoutOption(Queue.take(wake), askAgain[lane])),
      Effect.zipRight(Effect.sleep(gather)),
      Effect.forever
    )
  )

  const jobs = () => [...held.values(), ...running.values()]
  return {
    take: <A, E, R>(use: (ticket: Ticket) => Effect.Effect<A, E, R>) =>
      take((job) => use({ key: job.key, job: Option.some(job) })),
    close,
    isReady: () => ready,
    jobs
  }
})

/** Of a node that processes no orders. */
const idleLane = { take: () => Effect.never, close: Effect.void, isReady: () => true }

/** The lanes of a node. */
export const makeJobLanes = Effect.fnUntraced(function* (nodes: Nodes, onDepth: (depth: number) => void) {
  const { queueCapacity, role } = yield* AppConfig
  if (role === "api") return { open: idleLane, suspect: idleLane }
  const lanes = {
    open: yield* makeJobLane("open", queueCapacity, nodes, onDepth),
    suspect: yield* makeJobLane("suspect", 1, nodes, () => {})
  }
  yield* makeJobHeartbeat(nodes, () => [...lanes.open.jobs(), ...lanes.suspect.jobs()])
  return lanes
})
