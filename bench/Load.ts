import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as Path from "node:path"
import { Schema } from "effect"
import { cpuMillis } from "./ProcessTable.ts"
import { dist } from "./Program.ts"

const versionOfWrk = () => {
  try {
    // It answers its version with an exit code of 1.
    execFileSync("wrk", ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    return "wrk"
  } catch (error) {
    const output = error instanceof Error && "stdout" in error ? String(error.stdout) : ""
    return /^wrk \S+/.exec(output)?.[0]
  }
}
const wrk = versionOfWrk()

/** `wrk` where it is installed, else autocannon in a process of its own. */
export const generator = wrk ?? "autocannon"

/** How long the connections are open before the first request. */
export const idleMillis = wrk ? 500 : 0

/** The share of one core a load generator has used at most, by its own CPU time. */
export let busiest = 0

const resultOf = async <A, I>(child: ChildProcess, schema: Schema.Schema<A, I>) => {
  const startedAt = performance.now()
  let output = ""
  let cpu = 0
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text
  })
  const sampling = setInterval(() => {
    cpu = cpuMillis(child.pid ?? -1) || cpu
  }, 100)
  const [code] = await once(child, "close")
  clearInterval(sampling)
  const share = cpu / (performance.now() - startedAt)
  busiest = Math.max(busiest, share)
  const result = /^RESULT (.*)$/m.exec(output)?.[1]
  if (result === undefined) throw new Error(`The load generator ended with ${code}: ${output}`)
  return { share, result: Schema.decodeSync(Schema.parseJson(schema))(result) }
}

const Result = Schema.Struct({
  requests: Schema.Number,
  seconds: Schema.Number,
  p50: Schema.Number,
  p99: Schema.Number,
  errors: Schema.Number
})

/** Ids that no load before has used. */
let nextIds = 1
export const freshIds = () => {
  nextIds += 100_000_000
  return nextIds
}

/** What is sent with a key for the service, if it asks for one. */
export const authorization = (key: string | undefined): Record<string, string> =>
  key === undefined ? {} : { authorization: `Bearer ${key}` }

const generate = async (
  url: string,
  connections: number,
  seconds: number,
  args: ReadonlyArray<string | number>,
  key?: string
) => {
  // The seed differs from load to load, so that what is counted does not read what the warm-up read.
  const wrkArgs = [...args, connections, Date.now()].map(String)
  const child = wrk
    ? spawn("wrk", [
        ...["-t1", `-c${connections}`, `-d${seconds + 1}s`, "--timeout", "30s"],
        ...Object.entries(authorization(key)).flatMap(([name, value]) => ["-H", `${name}: ${value}`]),
        ...["-s", Path.join(import.meta.dirname, "wrk.lua"), url, "--", ...wrkArgs]
      ])
    : spawn(process.execPath, [Path.join(dist, "cannon.js"), url, ...[connections, seconds, ...args].map(String)], {
        env: { ...process.env, HEADERS: JSON.stringify(authorization(key)) }
      })
  const { result, share } = await resultOf(child, Result)
  if (result.errors > 0) throw new Error(`${result.errors} of ${result.requests} requests failed`)
  return { ...result, share }
}

/** Orders as fast as they are answered, so many a request. */
export const postOrders = (url: string, connections: number, seconds: number, perRequest = 1, key?: string) => {
  const path = perRequest === 1 ? "/api/order" : "/api/orders"
  return generate(url, connections, seconds, ["post", path, freshIds(), perRequest], key)
}

/** Reads as fast as they are answered; `%d` in the path becomes a number of the range. */
export const getAll = (url: string, connections: number, seconds: number, path: string, low = 1, high = 1) =>
  generate(url, connections, seconds, ["get", path, low, high])

/** Runs one of our own generators. */
export const run = async <A, I>(name: string, args: ReadonlyArray<string | number>, schema: Schema.Schema<A, I>) => {
  const child = spawn(process.execPath, [Path.join(dist, `${name}.js`), ...args.map(String)], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  return (await resultOf(child, schema)).result
}

const Metrics = Schema.Struct({ total_orders: Schema.Number, orders_completed: Schema.Number })

/** What the contestant itself counts. */
export const countsOf = async (url: string, key?: string) => {
  const answer = await fetch(`${url}/api/metrics`, { headers: authorization(key) })
  return Schema.decodeUnknownSync(Metrics)(await answer.json())
}
