import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Schema } from "effect"
import { ours, startOurs } from "../Contestants.ts"
import { makeFolder, removeFolder } from "../Folder.ts"
import { freshIds, run } from "../Load.ts"
import { newOrder } from "../NewOrder.ts"
import { dist, endWithUs } from "../Program.ts"
import { type Figures, interleave } from "../Rounds.ts"
import { scale } from "../Settings.ts"

/** Longer than the silent and the slow are suffered, so that their end and their coming again are in it. */
const seconds = 15

const slow = 200
const crowds: ReadonlyArray<readonly [name: string, kind: string, count: number]> = [
  ["nobody else", "", 0],
  ["200 that send nothing", "silent", slow],
  ["200 that send a byte of the headers a second", "slow head", slow],
  ["200 that send a byte of the body a second", "slow body", slow],
  ["200 that read nothing of a list", "unread list", slow],
  ["200 that read a byte of a list a second", "list by bytes", slow],
  ["200 that read no events", "unread events", slow],
  ["200 that wait for an order", "waiting", slow],
  ["200 that pipeline 1,000 behind such a wait", "pipelining", slow],
  ["200 that speak TLS", "tls", slow],
  ["200 that send garbage behind an order", "garbage", slow],
  ["200 that close their half at once", "half-closed", slow],
  ["5,000 idle", "idle", 5000]
]

const Times = Schema.Struct({ p50: Schema.Number, p99: Schema.Number, max: Schema.Number })
const Result = Schema.Struct({ posts: Times, gets: Times })

/** The clients of that kind, once all are connected. */
const gather = async (url: string, kind: string, count: number) => {
  const child = spawn(process.execPath, [Path.join(dist, "crowd.js"), url, kind, String(count)], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const ended = endWithUs(child)
  await once(child.stdout, "data")
  return async () => {
    child.kill("SIGKILL")
    await ended
  }
}

/** Orders that make a list of a few hundred kilobytes. */
const fillList = async (url: string) => {
  const orders = Array.from({ length: 500 }, (_, index) => ({
    ...newOrder(index + 1),
    metadata: { note: "x".repeat(2000) }
  }))
  const headers = { "content-type": "application/json" }
  await fetch(`${url}/api/orders`, { method: "POST", headers, body: JSON.stringify(orders) })
}

const measure = async (kind: string, count: number): Promise<Figures> => {
  const folder = makeFolder()
  const program = startOurs(folder)
  try {
    const url = await program.listening
    await fillList(url)
    await run("newcomers", [url, 2, freshIds()], Result)
    const scatter = count === 0 ? undefined : await gather(url, kind, Math.ceil(count * scale))
    // What so many cost that come at once is the burst's to show.
    await sleep(2000)
    const { gets, posts } = await run("newcomers", [url, seconds, freshIds()], Result)
    const memory = program.peakMegabytes()
    await scatter?.()
    return {
      ...{ postP50: posts.p50, postP99: posts.p99, postMax: posts.max },
      ...{ getP50: gets.p50, getP99: gets.p99, getMax: gets.max, memory }
    }
  } finally {
    await program.kill()
    removeFolder(folder)
  }
}

/** New clients, one after the other, while a crowd of slow ones keeps its connections open. */
export const crowd = async () => {
  const entrants = crowds.map(([name, kind, count]) => ({
    ...ours,
    name: `ours, ${name}`,
    measure: () => measure(kind, count)
  }))
  const lines = await interleave("a new client beside", 1, entrants)
  return (["post", "get"] as const).flatMap((method) => {
    const only = (figures: Figures): Figures => ({
      p50: figures[`${method}P50`] ?? Number.NaN,
      p99: figures[`${method}P99`] ?? Number.NaN,
      slowestSeconds: (figures[`${method}Max`] ?? Number.NaN) / 1000,
      memory: figures.memory ?? Number.NaN
    })
    const row = `new client beside a crowd, ${method.toUpperCase()}`
    return lines.map((line) => ({ ...line, row, figures: only(line.figures), rounds: line.rounds.map(only) }))
  })
}
