import { ours, startShipped } from "../Contestants.ts"
import { makeFolder, removeFolder } from "../Folder.ts"
import { startUntilReady } from "../Ready.ts"
import { interleave } from "../Rounds.ts"

/** `node dist/main.js` in an empty folder, until it is ready. */
export const cold = () =>
  interleave("cold start", 10, [
    {
      ...ours,
      measure: async () => {
        const folder = makeFolder()
        const { program, seconds } = await startUntilReady((env) => startShipped(folder, env))
        const memory = program.peakMegabytes()
        await program.kill()
        removeFolder(folder)
        return { readySeconds: seconds, memory }
      }
    }
  ])
