import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { cpuMillis, peakMegabytes } from "./ProcessTable.ts"
import { profiles } from "./Settings.ts"

export const dist = Path.join(import.meta.dirname, "dist")

export const results = Path.join(import.meta.dirname, "results")

/** As the service is started by `npm start`. Every contestant gets the same. */
const nodeFlags = ["--max-semi-space-size=32"]
let profiled = 0
/** Only what is bundled with a source map can be read. */
const profileFlags = (file: string) =>
  profiles && Fs.existsSync(`${file}.map`)
    ? ["--cpu-prof", `--cpu-prof-dir=${results}`, `--cpu-prof-name=${Path.parse(file).name}-${++profiled}.cpuprofile`]
    : []

export interface Program {
  readonly pid: number
  readonly startedAt: number
  /** Resolves with the address once the program says where it listens. */
  readonly listening: Promise<string>
  /** Sends a message over the channel every program has, and resolves with the next one that comes back. */
  readonly ask: (message: string) => Promise<unknown>
  readonly tell: (message: string) => void
  readonly cpuMillis: () => number
  readonly peakMegabytes: () => number
  /** Ends it at once: what it has left undone is of no more interest. */
  readonly kill: () => Promise<void>
}

const running = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})
process.on("SIGINT", () => process.exit(130))
process.on("SIGTERM", () => process.exit(143))

/** However this process ends, the child ends with it. Resolves when it has ended. */
export const endWithUs = (child: ChildProcess) => {
  running.add(child)
  return new Promise<void>((resolve) => {
    child.once("close", () => {
      running.delete(child)
      resolve()
    })
  })
}

/** Starts a built program in a folder of its own. */
export const startProgram = (
  file: string,
  folder: string,
  { args = [], env = {} }: { readonly args?: ReadonlyArray<string>; readonly env?: Record<string, string> } = {}
): Program => {
  const startedAt = performance.now()
  const child = spawn(process.execPath, [...nodeFlags, ...profileFlags(file), file, ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, NODE_ENV: "production", PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"]
  })
  const { pid = -1 } = child
  let output = ""
  const exited = endWithUs(child)
  const ended = exited.then(() => {
    throw new Error(`${Path.basename(file)} ended: ${output.slice(-2000)}`)
  })
  const listening = new Promise<string>((resolve) => {
    const read = (text: string) => {
      output = (output + text).slice(-10_000)
      const match = /Listening on (http:[^"\s]+)/.exec(output)
      if (match?.[1]) resolve(match[1])
    }
    child.stdout?.setEncoding("utf8").on("data", read)
    child.stderr?.setEncoding("utf8").on("data", read)
  })
  ended.catch(() => {})
  return {
    pid,
    startedAt,
    listening: Promise.race([listening, ended]),
    ask: (message) => {
      child.send(message)
      return Promise.race([once(child, "message").then(([answer]): unknown => answer), ended])
    },
    tell: (message) => void child.send(message),
    cpuMillis: () => cpuMillis(pid),
    peakMegabytes: () => peakMegabytes(pid),
    kill: async () => {
      // A profile is written at the end of a process that ends by itself.
      child.kill(profiles ? "SIGTERM" : "SIGKILL")
      await exited
    }
  }
}
