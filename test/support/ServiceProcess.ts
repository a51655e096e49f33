import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Readable, Writable } from "node:stream"
import { Effect } from "effect"

const main = Path.resolve("dist/main.js")

/** The built service as a child process. */
export interface ServiceProcess {
  readonly url: string
  readonly child: ChildProcess
  /** What it printed so far. */
  readonly output: { readonly stdout: string; readonly stderr: string }
  /** Resolves with the exit code, or the name of the signal that ended it. */
  readonly exited: Effect.Effect<number | string>
}

const clock = new URL("../fixtures/clock.mjs", import.meta.url).href

/** Settings under which the service is started with a clock that is that many milliseconds ahead. */
export const clockAhead = (millis: number): Record<string, string> =>
  millis === 0 ? {} : { NODE_OPTIONS: `--import=${clock}`, CLOCK_AHEAD: String(millis) }

/** What a process writes, as far as it has come, and how it ends. */
export const observe = (child: ChildProcessByStdio<Writable | null, Readable, Readable>) => {
  const output = { stdout: "", stderr: "" }
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text
  })
  const exited = once(child, "close").then(([code, signal]): number | string => code ?? signal)
  return { output, exited }
}

const launch = (folder: string, settings: Record<string, string>, program = main) => {
  const child = spawn(process.execPath, [program], {
    cwd: folder,
    env: { PATH: process.env.PATH, NODE_ENV: "production", PORT: "0", LOG_FORMAT: "json", ...settings },
    stdio: ["ignore", "pipe", "pipe"]
  })
  return { child, ...observe(child) }
}

/** Starts the service in a folder, waits until it listens, and kills it at the end of the scope if it still runs. */
export const startService = (folder: string, settings: Record<string, string> = {}, program = main) =>
  Effect.acquireRelease(
    Effect.promise(async (): Promise<ServiceProcess> => {
      const { child, exited, output } = launch(folder, settings, program)
      const url = await new Promise<string>((resolve, reject) => {
        child.stdout.on("data", () => {
          const match = /Listening on (http:[^"]+)/.exec(output.stdout)
          if (match?.[1]) resolve(match[1])
        })
        exited.then((code) => reject(new Error(`The service ended with ${code}: ${output.stdout}${output.stderr}`)))
      })
      return { child, output, url, exited: Effect.promise(() => exited) }
    }),
    ({ child, exited }) =>
      Effect.zipRight(
        Effect.sync(() => child.kill("SIGKILL")),
        exited
      )
  )

/** The program of the service alone, in a folder: its path. */
export const programIn = (folder: string) => {
  Fs.writeFileSync(Path.join(folder, "package.json"), '{ "type": "module" }')
  Fs.cpSync("dist/chunks", Path.join(folder, "chunks"), { recursive: true })
  Fs.copyFileSync(main, Path.join(folder, "main.js"))
  return Path.join(folder, "main.js")
}

/** Runs the service where it cannot start: its exit code and what it printed. */
export const failToStart = (folder: string, settings: Record<string, string> = {}, program = main) =>
  Effect.promise(async () => {
    const { exited, output } = launch(folder, settings, program)
    const code = await exited
    return { code, ...output }
  })

export const post = (url: string, order: object) =>
  fetch(`${url}/api/order`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(order)
  })

export const aNewOrder = (order_id: number) => ({ order_id, user_id: 7, item_ids: [1, 2], total_amount: 9.99 })
