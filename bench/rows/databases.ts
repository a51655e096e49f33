import { type Contestant, oursByDatabase, pgBoss, type Running } from "../Contestants.ts"
import { drain } from "../Drain.ts"
import { countsOf } from "../Load.ts"
import { newOrder } from "../NewOrder.ts"
import { type Figures, interleave, NotHere, say } from "../Rounds.ts"
import { rounds, sized } from "../Settings.ts"
import { until } from "../Until.ts"
import { bulkSeconds } from "./bulk.ts"
import { measureCompleted } from "./completed.ts"
import { type Filled, measureReads, pageAfter } from "./reads.ts"
import { entrant, measureIntake } from "./single.ts"

const suffix = ", by database"

/** The service on each database, beside pg-boss on the same PostgreSQL. */
const compare = (row: string, measure: (contestant: Contestant) => Promise<Figures>) => () =>
  interleave(
    row + suffix,
    rounds,
    [...oursByDatabase, pgBoss].map((contestant) => entrant(contestant, () => measure(contestant)))
  )

const perRequest = 500
const headers = { "content-type": "application/json" }

/** Adds orders with the ids 1 and on. */
const add = async (url: string, orders: number) => {
  for (let first = 1; first <= orders; first += perRequest) {
    const ids = Array.from({ length: Math.min(perRequest, orders - first + 1) }, (_, index) => first + index)
    const answer = await fetch(`${url}/api/orders`, {
      method: "POST",
      headers,
      body: JSON.stringify(ids.map(newOrder))
    })
    if (!answer.ok) throw new Error(`Orders were refused: ${answer.status} ${await answer.text()}`)
    await answer.arrayBuffer()
  }
}

const warmUp = sized(10_000)
const backlog = warmUp + sized(30_000)

const measureEngine = async (contestant: Contestant): Promise<Figures> => {
  const running = await contestant.start(false)
  try {
    await add(running.url, backlog)
    return await drain(running, warmUp, backlog, 15)
  } finally {
    await running.stop()
  }
}

const stored = sized(100_000)

/** With orders that it took in and worked off itself, one in a hundred of them Failed. */
const fill = async (contestant: Contestant): Promise<Filled & Pick<Running, "stop">> => {
  const running = await contestant.start(true, { FAILING: "on" })
  const startedAt = performance.now()
  await add(running.url, stored)
  const completed = stored - Math.floor(stored / 100)
  await until("every order has ended", 300, async () => (await countsOf(running.url)).orders_completed === completed)
  say(`${contestant.name}: ${stored} orders worked off in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  const thousandth = await pageAfter(running.url, 999)
  return { ...running, name: contestant.name, orders: stored, thousandth }
}

const reads = async () => {
  const services: Array<Awaited<ReturnType<typeof fill>>> = []
  try {
    for (const contestant of oursByDatabase) {
      try {
        services.push(await fill(contestant))
      } catch (error) {
        if (!(error instanceof NotHere)) throw error
        say(`reads${suffix}, ${contestant.name}: skipped: ${error.message}`)
      }
    }
    return await measureReads(services, suffix)
  } finally {
    for (const { stop } of services) await stop()
  }
}

export const databases = {
  "databases/single": compare("single POST", (contestant) => measureIntake(contestant, 64, 1)),
  "databases/bulk": compare("bulk of 500", (contestant) => measureIntake(contestant, 8, perRequest, bulkSeconds)),
  "databases/engine": compare("engine alone", measureEngine),
  "databases/completed": compare("accept to Completed", measureCompleted),
  "databases/reads": reads
}
