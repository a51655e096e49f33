import { Schema } from "effect"
import { ours, type Running, startOurs } from "../Contestants.ts"
import { emptyDatabase, fill } from "../Databases.ts"
import { freeGigabytes, removeFolder } from "../Folder.ts"
import { getAll } from "../Load.ts"
import { type Figures, interleave, type Line, NotHere, say } from "../Rounds.ts"
import { countedSeconds, rounds, sized, warmUpSeconds } from "../Settings.ts"

const sizes = [
  ["10 thousand", sized(10_000)],
  ["1 million", sized(1_000_000)],
  ["10 million", sized(10_000_000)]
] as const
const neededGigabytes = 10
const seconds = Math.max(1, Math.round(countedSeconds / 3))

const Page = Schema.Struct({ next_cursor: Schema.optional(Schema.String) })

/** The path of the page after so many pages of ten, found by turning them. */
export const pageAfter = async (url: string, pages: number) => {
  let path = "/api/orders?limit=10"
  for (let page = 0; page < pages; page++) {
    const { next_cursor } = Schema.decodeUnknownSync(Page)(await (await fetch(url + path)).json())
    if (next_cursor === undefined) break
    path = `/api/orders?limit=10&cursor=${next_cursor}`
  }
  return path
}

const open = async (name: string, orders: number) => {
  const folder = await emptyDatabase()
  const startedAt = performance.now()
  fill(folder, orders, false)
  say(`filled ${name} orders in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  const program = startOurs(folder)
  const url = await program.listening
  return {
    name: `ours, ${name} orders`,
    orders,
    url,
    program,
    storeCpuMillis: () => Number.NaN,
    thousandth: await pageAfter(url, 999),
    close: async () => {
      await program.kill()
      removeFolder(folder)
    }
  }
}

/** A service with orders in it. */
export interface Filled extends Pick<Running, "program" | "storeCpuMillis" | "url"> {
  readonly name: string
  readonly orders: number
  /** The path of a page far behind. */
  readonly thousandth: string
}

const paths: ReadonlyArray<readonly [string, (service: Filled) => string]> = [
  ["GET one", () => "/api/order/%d"],
  ["list, page 1", () => "/api/orders?limit=10"],
  ["list, page 1,000", ({ thousandth }) => thousandth],
  // All orders of this user are Failed.
  ["list, user and rare status", () => "/api/orders?limit=10&user_id=1&status=Completed"],
  ["list, user, code and time", () => "/api/orders?limit=10&user_id=1&error_code=declined&accepted_after=2001-01-01"],
  ["list, time with none", () => "/api/orders?limit=10&accepted_before=2001-01-01"],
  ["GET /api/failures", () => "/api/failures"],
  ["GET /api/metrics", () => "/api/metrics"]
]

/** One request at a time, so that p99 is what a request costs and not how long it waits for others. */
export const measureReads = async (services: ReadonlyArray<Filled>, suffix = "") => {
  const lines: Array<Line> = []
  for (const [row, pathOf] of paths) {
    const warm = new Set<Filled>()
    const measure = async (service: Filled): Promise<Figures> => {
      const { orders, program, storeCpuMillis, url } = service
      if (!warm.has(service)) await getAll(url, 16, warmUpSeconds, pathOf(service), 1, orders)
      warm.add(service)
      await getAll(url, 1, 1, pathOf(service), 1, orders)
      const [cpu, storeCpu] = [program.cpuMillis(), storeCpuMillis()]
      const load = await getAll(url, 1, seconds, pathOf(service), 1, orders)
      return {
        perSecond: load.requests / load.seconds,
        p50: load.p50,
        p99: load.p99,
        cpu: ((program.cpuMillis() - cpu) * 1000) / load.requests,
        storeCpu: ((storeCpuMillis() - storeCpu) * 1000) / load.requests,
        memory: program.peakMegabytes()
      }
    }
    const entrants = services.map((service) => ({ ...ours, name: service.name, measure: () => measure(service) }))
    lines.push(...(await interleave(row + suffix, rounds, entrants)))
  }
  return lines
}

export const reads = async () => {
  if (freeGigabytes() < neededGigabytes) throw new NotHere(`less than ${neededGigabytes} GB are free on the disk`)
  const services: Array<Awaited<ReturnType<typeof open>>> = []
  for (const [name, orders] of sizes) services.push(await open(name, orders))
  const lines = await measureReads(services)
  for (const service of services) await service.close()
  return lines
}
