import { setTimeout as sleep } from "node:timers/promises"
import { Schema } from "effect"
import { ours, plainjobs, startOurs } from "../Contestants.ts"
import { copyOf, emptyDatabase, fill } from "../Databases.ts"
import { drain } from "../Drain.ts"
import { removeFolder } from "../Folder.ts"
import { interleave } from "../Rounds.ts"
import { isShort, rounds, sized } from "../Settings.ts"

/** Worked off before anything is counted. */
const warmUp = sized(isShort ? 10_000 : 20_000)
const orders = warmUp + sized(isShort ? 20_000 : 50_000)
const seconds = isShort ? 8 : 20

const Answer = Schema.Struct({ done: Schema.Number, millis: Schema.Number })

/** Orders that are Pending already, until all are Completed by a processor that does nothing, or the time is up. */
export const engine = async () => {
  const filled = await emptyDatabase()
  fill(filled, orders, true)
  const lines = await interleave("engine alone", rounds, [
    {
      ...ours,
      measure: async () => {
        const folder = copyOf(filled)
        const program = startOurs(folder)
        try {
          const url = await program.listening
          await sleep(500)
          return await drain({ program, storeCpuMillis: () => Number.NaN, url }, warmUp, orders, seconds)
        } finally {
          await program.kill()
          removeFolder(folder)
        }
      }
    },
    ...plainjobs.map(({ name, onPowerLoss, startWith }) => ({
      name,
      onPowerLoss,
      measure: async () => {
        const { program, stop } = await startWith(warmUp, orders, seconds)
        try {
          const cpu = program.cpuMillis()
          const { done, millis } = Schema.decodeUnknownSync(Answer)(await program.ask("process"))
          return {
            perSecond: (done * 1000) / millis,
            cpu: ((program.cpuMillis() - cpu) * 1000) / (warmUp + done),
            memory: program.peakMegabytes()
          }
        } finally {
          await stop()
        }
      }
    }))
  ])
  removeFolder(filled)
  return lines
}
