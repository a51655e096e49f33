import { ours, startOurs } from "../Contestants.ts"
import { emptyDatabase, fill } from "../Databases.ts"
import { removeFolder } from "../Folder.ts"
import { postOrders } from "../Load.ts"
import { interleave } from "../Rounds.ts"
import { countedSeconds, sized } from "../Settings.ts"

/** A million orders wait, none is processed, and more come in at 64 connections. */
export const memory = () =>
  interleave("memory, 1 million pending", 1, [
    {
      ...ours,
      measure: async () => {
        const folder = await emptyDatabase()
        fill(folder, sized(1_000_000), true)
        const program = startOurs(folder)
        try {
          const load = await postOrders(await program.listening, 64, countedSeconds)
          return {
            perSecond: load.requests / load.seconds,
            p50: load.p50,
            p99: load.p99,
            memory: program.peakMegabytes()
          }
        } finally {
          await program.kill()
          removeFolder(folder)
        }
      }
    }
  ])
