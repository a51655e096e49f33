import { Effect } from "effect"
import { Command } from "../store/Command.ts"
import type { GroupCommit } from "../store/GroupCommit.ts"
import type { Job } from "../store/Job.ts"

/** Jobs that a node has and will not begin: no worker is free for them, or the claim came to nothing. */
export const makeUnwantedJobs = (commits: GroupCommit["Type"]) => {
  let unwanted: ReadonlyArray<Job> = []
  return {
    add: (jobs: ReadonlyArray<Job>) => {
      unwanted = [...unwanted, ...jobs]
    },
    /** Those that come meanwhile, or that nobody could be given, stay for the next time. */
    giveBack: Effect.gen(function* () {
      const jobs = unwanted
      if (jobs.length === 0) return
      yield* commits.write(Command.PutBack({ jobs }))
      const given = new Set(jobs)
      unwanted = unwanted.filter((job) => !given.has(job))
    })
  }
}
