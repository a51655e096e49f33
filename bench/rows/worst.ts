import { spawn } from "node:child_process"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Schema } from "effect"
import { ours, startShipped } from "../Contestants.ts"
import { makeFolder, removeFolder } from "../Folder.ts"
import { dist, endWithUs } from "../Program.ts"
import { type Figures, interleave } from "../Rounds.ts"
import { scale } from "../Settings.ts"
import { fullOrders, sendWorst, type WorstRequest, worstRequests } from "../WorstRequests.ts"

/** Nothing is processed: the first order takes longer than the row, and the others wait for it. */
const idle = { WORKERS: "1", PROCESSING_TIME: "1 hour", ATTEMPT_TIMEOUT: "2 hours" }

const Longest = Schema.parseJson(Schema.Struct({ longest: Schema.Number }))

/** The longest wait of `/livez` meanwhile, in seconds, as a process of its own sees it. */
const watched = async (url: string, work: () => Promise<unknown>) => {
  const child = spawn(process.execPath, [Path.join(dist, "livez.js"), url], { stdio: ["ignore", "pipe", "inherit"] })
  const ended = endWithUs(child)
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text
  })
  while (!output.includes("READY") && child.exitCode === null) await sleep(10)
  await work()
  child.kill("SIGTERM")
  await ended
  const result = /^RESULT (.*)$/m.exec(output)?.[1]
  if (result === undefined) throw new Error("The service did not answer /livez to the end")
  return Schema.decodeSync(Longest)(result).longest / 1000
}

/** Each of the worst requests alone, one after the other, on a service that was empty before. */
const oneByOne = async () => {
  const folder = makeFolder()
  const program = startShipped(folder, idle)
  try {
    const url = await program.listening
    return await interleave(
      "worst requests",
      1,
      worstRequests.map((request) => ({
        ...ours,
        name: `ours, ${request.name}`,
        measure: async (): Promise<Figures> => {
          let answeredSeconds = Number.NaN
          const slowestSeconds = await watched(url, async () => {
            const startedAt = performance.now()
            await sendWorst(url, request)
            answeredSeconds = (performance.now() - startedAt) / 1000
          })
          return { slowestSeconds, answeredSeconds, memory: program.peakMegabytes() }
        }
      }))
    )
  } finally {
    await program.kill()
    removeFolder(folder)
  }
}

const atOnce = 20
const worstAtOnce = ["10,000 lists of 278 {}", "10,000 orders of 90 unknown fields", "orders of 64 KiB, wide metadata"]

/** Twenty of the same bulk call at once, with half a gigabyte of heap: each has a service of its own. */
const many = (request: WorstRequest) => ({
  ...ours,
  name: `ours, ${request.name}`,
  measure: async (): Promise<Figures> => {
    const folder = makeFolder()
    const program = startShipped(folder, { ...idle, NODE_OPTIONS: "--max-old-space-size=512" })
    try {
      const url = await program.listening
      const slowestSeconds = await watched(url, () =>
        // One that is refused may be closed while it still sends.
        Promise.allSettled(Array.from({ length: atOnce }, () => sendWorst(url, request)))
      )
      return { slowestSeconds, memory: program.peakMegabytes() }
    } finally {
      await program.kill()
      removeFolder(folder)
    }
  }
})

export const worst = async () => [
  ...(await oneByOne()),
  ...(await interleave(
    `${atOnce} worst bulk calls at once`,
    1,
    [fullOrders, ...worstRequests.filter(({ name }) => worstAtOnce.includes(name))]
      .slice(0, scale < 1 ? 1 : undefined)
      .map(many)
  ))
]
