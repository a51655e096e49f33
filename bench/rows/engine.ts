import { setTimeout as sleep } from "node:timers/promises"
import { Schema } from "effect"
import { ours, plainjobs, startOurs } from "../Contestants.ts"
import { copyOf, emptyDatabase, fill } from "../Databases.ts"
import { removeFolder } from "../Folder.ts"
import { countsOf } from "../Load.ts"
import { interleave } from "../Rounds.ts"
import { isShort, rounds, sized } from "../Settings.ts"
import { until } from "../Until.ts"

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
          const completed = async () => (await countsOf(url)).orders_completed
          program.tell("process")
          await until("the first orders are Completed", 60, async () => (await completed()) >= warmUp)
          const cpu = program.cpuMillis()
          const before = await completed()
          const startedAt = performance.now()
          let [done, millis] = [before, 0]
          while (done < orders && millis < seconds * 1000) {
            await sleep(50)
            done = await completed()
            millis = performance.now() - startedAt
          }
          const counted = done - before
          return {
            perSecond: (counted * 1000) / millis,
            cpu: ((program.cpuMillis() - cpu) * 1000) / counted,
            memory: program.peakMegabytes()
          }
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
