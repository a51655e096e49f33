import { setTimeout as sleep } from "node:timers/promises"
import { Schema } from "effect"
import { ours, startOurs } from "../Contestants.ts"
import { makeFolder, removeFolder } from "../Folder.ts"
import { freshIds, run } from "../Load.ts"
import { interleave, percentile } from "../Rounds.ts"
import { countedSeconds, rounds, warmUpSeconds } from "../Settings.ts"

const perSecond = 500
const Result = Schema.Struct({ requests: Schema.Number, errors: Schema.Number })
const Waits = Schema.Array(Schema.Number)

/** From an order's commit, as it is published in the service, to the call of the processor: by one clock, in one process. */
export const start = () =>
  interleave("commit to start, 500/s", rounds, [
    {
      ...ours,
      measure: async () => {
        const folder = makeFolder()
        const program = startOurs(folder, { PROCESSING: "on", TIMED: "on" })
        try {
          const url = await program.listening
          await run("paced", [url, perSecond, warmUpSeconds, freshIds()], Result)
          await sleep(500)
          await program.ask("waits")
          const cpu = program.cpuMillis()
          const { errors, requests } = await run("paced", [url, perSecond, countedSeconds, freshIds()], Result)
          await sleep(500)
          const used = program.cpuMillis() - cpu
          const waits = Schema.decodeUnknownSync(Waits)(await program.ask("waits"))
          if (errors > 0 || waits.length !== requests) {
            throw new Error(`Of ${requests} orders ${errors} were refused and ${waits.length} ran`)
          }
          return {
            p50: percentile(waits, 0.5),
            p99: percentile(waits, 0.99),
            cpu: (used * 1000) / requests,
            memory: program.peakMegabytes()
          }
        } finally {
          await program.kill()
          removeFolder(folder)
        }
      }
    }
  ])
