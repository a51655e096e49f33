import { bullmqs, type Contestant, echo, limit, ours, oursWithKeys, pgBoss, sqlites } from "../Contestants.ts"
import { countsOf, postOrders } from "../Load.ts"
import { type Entrant, type Figures, interleave } from "../Rounds.ts"
import { countedSeconds, rounds, warmUpSeconds } from "../Settings.ts"

/** Warms a contestant up, and counts what it takes in then; checks that it has kept what it answered. */
export const measureIntake = async (
  contestant: Contestant,
  connections: number,
  perRequest: number,
  [warmUp, counted]: readonly [number, number] = [warmUpSeconds, countedSeconds]
): Promise<Figures> => {
  const { key, program, stop, storeCpuMillis, url } = await contestant.start(false)
  try {
    const before = await postOrders(url, connections, warmUp, perRequest, key)
    const [cpu, storeCpu] = [program.cpuMillis(), storeCpuMillis()]
    const load = await postOrders(url, connections, counted, perRequest, key)
    const orders = load.requests * perRequest
    const figures = {
      perSecond: orders / load.seconds,
      p50: load.p50,
      p99: load.p99,
      cpu: ((program.cpuMillis() - cpu) * 1000) / orders,
      storeCpu: ((storeCpuMillis() - storeCpu) * 1000) / orders,
      memory: program.peakMegabytes(),
      generator: load.share
    }
    if (contestant !== echo) {
      const { total_orders } = await countsOf(url, key)
      const answered = orders + before.requests * perRequest
      if (total_orders < answered) throw new Error(`${contestant.name} answered ${answered} and kept ${total_orders}`)
    }
    return figures
  } finally {
    await stop()
  }
}

export const entrant = (contestant: Contestant, measure: () => Promise<Figures>): Entrant => ({
  name: contestant.name,
  onPowerLoss: contestant.onPowerLoss,
  isOurs: contestant.isOurs === true,
  measure
})

/** One order a request, 64 connections, nothing processed meanwhile. */
export const single = () =>
  interleave(
    "single POST",
    rounds,
    [ours, echo, limit, ...sqlites, ...bullmqs, pgBoss].map((contestant) =>
      entrant(contestant, () => measureIntake(contestant, 64, 1))
    )
  )

/** The same of ours alone, without a key and with one. */
export const keyed = () =>
  interleave(
    "single POST with a key",
    rounds,
    [ours, oursWithKeys].map((contestant) => entrant(contestant, () => measureIntake(contestant, 64, 1)))
  )
