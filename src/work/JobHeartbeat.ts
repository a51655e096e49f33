import { Effect } from "effect"
import { keepRunning } from "../KeepRunning.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { Command } from "../store/Command.ts"
import { GroupCommit } from "../store/GroupCommit.ts"
import { heartbeatSeconds, type Job } from "../store/Job.ts"
import type { Nodes } from "../store/OrdersRepo.ts"

/** Each job has four chances to be heard of before it is given away. */
const beatEvery = "2 seconds"
/** Without a beat for so long this node stood still, or the database was away, and others may not have been heard of either. */
const gapMillis = 8000

/**
 * Keeps in this node's hands all that it has there, by one command every few seconds; and hands on what was in the hands of
 * nodes that are gone. After a gap it waits with that for as long as it takes until every node that lives has been heard
 * of: when the database was away for all of them, none has lost its jobs.
 */
export const makeJobHeartbeat = Effect.fnUntraced(function* ({ watch }: Nodes, jobs: () => ReadonlyArray<Job>) {
  const commits = yield* GroupCommit
  const now = yield* monotonicMillis
  let last = Number.NEGATIVE_INFINITY
  let steadySince = 0

  const beat = Effect.gen(function* () {
    yield* commits.settle(Command.Touch({ jobs: jobs() }))
    const beatAt = now()
    if (beatAt - last > gapMillis) steadySince = beatAt
    last = beatAt
    // Should it fail, the next beat will have to wait too.
    if (beatAt - steadySince >= heartbeatSeconds * 1000) yield* Effect.ignore(watch)
  })
  yield* keepRunning("heartbeat of the jobs", Effect.forever(Effect.zipRight(beat, Effect.sleep(beatEvery))))
})
