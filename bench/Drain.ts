import { setTimeout as sleep } from "node:timers/promises"
import type { Running } from "./Contestants.ts"
import { countsOf } from "./Load.ts"
import { until } from "./Until.ts"

/**
 * Has a service begin to work off what waits. Counted is from the `from`th order until the `to`th is Completed, or the seconds
 * are over.
 */
export const drain = async (
  { program, storeCpuMillis, url }: Pick<Running, "program" | "storeCpuMillis" | "url">,
  from: number,
  to: number,
  seconds: number
) => {
  const completed = async () => (await countsOf(url)).orders_completed
  program.tell("process")
  await until("the first orders are Completed", 60, async () => (await completed()) >= from)
  const [cpu, storeCpu] = [program.cpuMillis(), storeCpuMillis()]
  const before = await completed()
  const startedAt = performance.now()
  let [done, millis] = [before, 0]
  while (done < to && millis < seconds * 1000) {
    await sleep(50)
    done = await completed()
    millis = performance.now() - startedAt
  }
  const counted = done - before
  return {
    perSecond: (counted * 1000) / millis,
    cpu: ((program.cpuMillis() - cpu) * 1000) / counted,
    storeCpu: ((storeCpuMillis() - storeCpu) * 1000) / counted,
    memory: program.peakMegabytes()
  }
}
