import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Effect } from "effect"
import type { CliAnswer, CommandOptions } from "./CliCommand.ts"

const program = Path.resolve("dist/cli.js")

export interface CliOptions extends CommandOptions {
  readonly input?: string | Buffer
}

const start = (command: string, args: ReadonlyArray<string>, { env, folder, input, url }: CliOptions) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(command, args, {
        ...(folder === undefined ? {} : { cwd: folder }),
        env: {
          PATH: process.env.PATH,
          NODE_ENV: "production",
          ...(url === undefined ? {} : { ORDERS_URL: url }),
          ...env
        }
      })
      const output = { stdout: "", stderr: "" }
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        output.stdout += text
      })
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        output.stderr += text
      })
      child.stdin.on("error", () => {}).end(input ?? "")
      const closed = once(child, "close").then(([code, signal]): number | string => code ?? signal)
      const ended = Effect.map(
        Effect.promise(() => closed),
        (code): CliAnswer => ({ code, ...output })
      )
      return { child, output, ended }
    }),
    ({ child, ended }) =>
      Effect.zipRight(
        Effect.sync(() => child.kill("SIGKILL")),
        ended
      )
  )

/** The built command line as a child process, killed at the end of the scope if it still runs. */
export const startCli = (args: ReadonlyArray<string>, options: CliOptions = {}) =>
  start(process.execPath, [program, ...args], options)

/** Whether a command can be run on a terminal: `script` of util-linux makes one. */
export const hasTerminal = process.platform === "linux" && Fs.existsSync("/usr/bin/script")

/** Runs the command line to its end on a terminal, which shows both of its outputs as one. */
export const cliOnTerminal = (args: ReadonlyArray<string>, { env, ...options }: CliOptions = {}) => {
  const words = [process.execPath, program, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`)
  return Effect.scoped(
    Effect.flatMap(
      start("/usr/bin/script", ["-qec", words.join(" "), "/dev/null"], { ...options, env: { TERM: "xterm", ...env } }),
      ({ ended }) => ended
    )
  )
}

/** Runs the command line to its end. */
export const cli = (args: ReadonlyArray<string>, options?: CliOptions) =>
  Effect.scoped(Effect.flatMap(startCli(args, options), ({ ended }) => ended))
