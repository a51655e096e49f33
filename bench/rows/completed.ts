import { bullmqs, type Contestant, ours, pgBoss } from "../Contestants.ts"
import { countsOf, idleMillis, postOrders } from "../Load.ts"
import { type Figures, interleave } from "../Rounds.ts"
import { countedSeconds, rounds, warmUpSeconds } from "../Settings.ts"
import { until } from "../Until.ts"
import { entrant } from "./single.ts"

const untilCompleted = async (url: string) => {
  let completed = 0
  await until("every order is Completed", 300, async () => {
    const { orders_completed, total_orders } = await countsOf(url)
    completed = orders_completed
    return orders_completed === total_orders
  })
  return completed
}

/** The clock runs from the first order until the last is Completed, so a backlog that builds up counts too. */
export const measureCompleted = async (contestant: Contestant): Promise<Figures> => {
  const { program, stop, storeCpuMillis, url } = await contestant.start(true)
  try {
    await postOrders(url, 64, warmUpSeconds)
    const before = await untilCompleted(url)
    const [cpu, storeCpu] = [program.cpuMillis(), storeCpuMillis()]
    const startedAt = performance.now() + idleMillis
    const load = await postOrders(url, 64, countedSeconds)
    const orders = (await untilCompleted(url)) - before
    return {
      perSecond: (orders * 1000) / (performance.now() - startedAt),
      p50: load.p50,
      p99: load.p99,
      cpu: ((program.cpuMillis() - cpu) * 1000) / orders,
      storeCpu: ((storeCpuMillis() - storeCpu) * 1000) / orders,
      memory: program.peakMegabytes()
    }
  } finally {
    await stop()
  }
}

/** Single POSTs at 64 connections, each processed by a processor that does nothing. p50 and p99 are those of the POST. */
export const completed = () =>
  interleave(
    "accept to Completed",
    rounds,
    [ours, ...bullmqs, pgBoss].map((contestant) => entrant(contestant, () => measureCompleted(contestant)))
  )
