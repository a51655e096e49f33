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
import type { Ticket } from "./Ticket.ts"

/** After how many milliseconds the engine is asked again without a signal: for retries that came due, and jobs handed on. */
const askAgain = 500
/** A job is given away after ten seconds without a sign of its node, so each has three chances to be heard of. */
const touchEvery = "3 seconds"

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

  const { depth, held, offer, take } = yield* makeHandout<Ticket & { readonly job: Job }>(capacity, (left) => {
    onDepth(left)
    if (behind && left <= capacity / 4) wake.unsafeOffer(undefined)
  })
  /** The jobs under which this node processes orders. */
  const running = new Map<RowKey, Job>()

  yield* events.listen(({ changes }) => {
    for (const { from, key, run, to } of changes) {
      const job = held.get(key)?.job
      if (to === "Processing" && job?.run === run - 1) running.set(key, job)
      else if (Option.contains(from, "Processing")) running.delete(key)
    }
  })
  yield* events.follow((changes) => {
    for (const { from, key, run, to } of changes) {
      // Another node has ended the run, or what was to become one: it was cancelled there, or taken for lost.
      if (Option.contains(from, "Processing") && running.get(key)?.run === run - 1) running.delete(key)
      if (Option.contains(from, "Pending") && to !== "Processing" && held.get(key)?.job.run === run) held.delete(key)
      if (to === "Pending") {
        behind = true
        wake.unsafeOffer(undefined)
      }
    }
  })

  const jobsOf = () => [...held.values()].map(({ job }) => job)

  // What was fetched must not be forgotten.
  const fill = Effect.uninterruptible(
    Effect.gen(function* () {
      behind = false
      const room = capacity - held.size
      if (room < 1) {
        behind = true
        return
      }
      const jobs = yield* fetch(lane, room)
      ready = true
      behind ||= jobs.length === room
      const lost = jobs.filter(({ delivery }) => delivery > 0)
      // Without an answer they are handed out once more.
      if (lost.length > 0) yield* Effect.ignore(commits.write(Command.Redeliver({ jobs: lost, maxAttempts })))
      for (const job of jobs) {
        if (job.delivery === 0) offer({ key: job.key, after: Option.some(job.run), job })
      }
      onDepth(depth())
    })
  )

  const unreadable = Effect.fnUntraced(function* (cause: Cause.Cause<StorageUnavailable>) {
    ready = false
    if (Cause.isDie(cause)) yield* limited("read", Effect.logError("Jobs cannot be fetched", cause))
    yield* Effect.sleep("1 second")
  })

  // Others are to have at once what is not begun.
  yield* Effect.addFinalizer(() => {
    const jobs = jobsOf()
    return jobs.length === 0
      ? Effect.void
      : commits
          .write(Command.Redeliver({ jobs, maxAttempts }))
          .pipe(Effect.interruptible, Effect.timeout("2 seconds"), Effect.ignore)
  })
  const feed = Effect.zipRight(Effect.catchAllCause(fill, unreadable), Effect.timeoutOption(Queue.take(wake), askAgain))
  yield* keepRunning(`feeder of the ${lane} lane`, Effect.forever(feed))

  return { take, isReady: () => ready, jobs: () => [...jobsOf(), ...running.values()] }
})

/** Of a node that processes no orders. */
const idleLane = { take: () => Effect.never, isReady: () => true }

/** The lanes of a node. All that it has in its hands is kept there by one command every few seconds. */
export const makeJobLanes = Effect.fnUntraced(function* (nodes: Nodes, onDepth: (depth: number) => void) {
  const commits = yield* GroupCommit
  const { role, workers } = yield* AppConfig
  if (role === "api") return { open: idleLane, suspect: idleLane }
  const lanes = {
    open: yield* makeJobLane("open", 2 * workers, nodes, onDepth),
    suspect: yield* makeJobLane("suspect", 1, nodes, () => {})
  }
  const touch = Effect.suspend(() => {
    const jobs = [...lanes.open.jobs(), ...lanes.suspect.jobs()]
    return jobs.length === 0 ? Effect.void : Effect.asVoid(commits.settle(Command.Touch({ jobs })))
  })
  yield* keepRunning("heartbeat of the jobs", Effect.forever(Effect.zipRight(touch, Effect.sleep(touchEvery))))
  return lanes
})
