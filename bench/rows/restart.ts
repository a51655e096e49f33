import { setTimeout as sleep } from "node:timers/promises"
import { Schema } from "effect"
import { ours, startOurs } from "../Contestants.ts"
import { copyOf, emptyDatabase, fill } from "../Databases.ts"
import { removeFolder } from "../Folder.ts"
import { startUntilReady } from "../Ready.ts"
import { interleave, type Line } from "../Rounds.ts"
import { countedSeconds, rounds, sized } from "../Settings.ts"

const sizes = [
  ["100 thousand", sized(100_000)],
  ["1 million", sized(1_000_000)]
] as const

/** From the start of the process; then it works the backlog off at full speed for a while, for the memory. */
export const restart = async () => {
  const lines: Array<Line> = []
  for (const [name, orders] of sizes) {
    const filled = await emptyDatabase()
    fill(filled, orders, true)
    lines.push(
      ...(await interleave(`restart, ${name} pending`, rounds, [
        {
          ...ours,
          measure: async () => {
            const folder = copyOf(filled)
            const { program, seconds } = await startUntilReady((env) => startOurs(folder, { ...env, PROCESSING: "on" }))
            try {
              await sleep(countedSeconds * 1000)
              const firstRunAt = Schema.decodeUnknownSync(Schema.Number)(await program.ask("firstRunAt"))
              if (firstRunAt === 0) throw new Error(`No order ran within ${countedSeconds} s of being ready`)
              return {
                readySeconds: seconds,
                firstRunSeconds: (firstRunAt - performance.timeOrigin - program.startedAt) / 1000,
                memory: program.peakMegabytes()
              }
            } finally {
              await program.kill()
              removeFolder(folder)
            }
          }
        }
      ]))
    )
    removeFolder(filled)
  }
  return lines
}
