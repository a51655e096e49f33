import { Schema } from "effect"
import { ours, startShipped } from "../Contestants.ts"
import { makeFolder, removeFolder } from "../Folder.ts"
import { run } from "../Load.ts"
import { interleave } from "../Rounds.ts"
import { isShort, scale } from "../Settings.ts"

const connections = Math.max(100, Math.round(1000 * scale))
const Result = Schema.Struct({ answeredSeconds: Schema.Number, completedSeconds: Schema.Number })

/** The service as shipped, just started: 1,000 connections at once, an order on each, 2 s to process, 100 workers. */
export const burst = () =>
  interleave("1,000 at once, 2 s each", isShort || scale < 1 ? 1 : 2, [
    {
      ...ours,
      measure: async () => {
        const folder = makeFolder()
        const program = startShipped(folder, { PROCESSING_JITTER: "0" })
        try {
          const times = await run("burst", [await program.listening, connections], Result)
          return { ...times, memory: program.peakMegabytes() }
        } finally {
          await program.kill()
          removeFolder(folder)
        }
      }
    }
  ])
