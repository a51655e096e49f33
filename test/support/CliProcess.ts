import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Path from "node:path"
import { setTimeout } from "node:timers/promises"
import { stripVTControlCharacters } from "node:util"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Clock, ConfigProvider, Console, Effect, Layer } from "effect"
import { answerOf } from "../../src/cli/Answer.ts"
import { HttpClientLive } from "../../src/cli/Connection.ts"
import { printFailure } from "../../src/cli/Failure.ts"

const program = Path.resolve("dist/cli.js")

export interface CliOptions {
  readonly url?: string
  readonly folder?: string
  readonly input?: string | Buffer
  readonly env?: Record<string, string>
}

export interface CliAnswer {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

/** The built command line as a child process, killed at the end of the scope if it still runs. */
export const startCli = (args: ReadonlyArray<string>, { env, folder, input, url }: CliOptions = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [program, ...args], {
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

/** Runs the command line to its end. */
export const cli = (args: ReadonlyArray<string>, options?: CliOptions) =>
  Effect.scoped(Effect.flatMap(startCli(args, options), ({ ended }) => ended))

/**
 * Runs a command in the process of the tests, which costs a tenth of a process of its own: for what a command does, not
 * for how the program starts, reads, writes and ends. Commands in a folder run one at a time.
 */
export const command = (args: ReadonlyArray<string>, { folder, url }: Pick<CliOptions, "folder" | "url"> = {}) =>
  Effect.gen(function* () {
    const output = { stdout: "", stderr: "" }
    const to = (name: keyof typeof output) => (text: unknown) =>
      Effect.sync(() => {
        output[name] += `${stripVTControlCharacters(String(text))}\n`
      })
    const { isJson, run } = answerOf(args, "")
    const environment = new Map([
      ...(url === undefined ? [] : [["ORDERS_URL", url] as const]),
      ...(folder === undefined ? [] : [["DATABASE_URL", `file:${Path.join(folder, "data/orders.db")}`] as const])
    ])
    const code = yield* run.pipe(
      Effect.as(0),
      Effect.catchAll((error) => printFailure(error, isJson)),
      (self) =>
        Console.consoleWith((console) =>
          Effect.withConsole(self, { ...console, log: to("stdout"), error: to("stderr") })
        ),
      Effect.withConfigProvider(ConfigProvider.fromMap(environment)),
      Effect.withClock(Clock.make()),
      Effect.provide(Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer, HttpClientLive))
    )
    return { code, ...output } satisfies CliAnswer
  }).pipe((self) =>
    Effect.acquireUseRelease(
      Effect.sync(() => process.cwd()),
      () =>
        Effect.zipRight(
          Effect.sync(() => folder && process.chdir(folder)),
          self
        ),
      (before) => Effect.sync(() => process.chdir(before))
    )
  )

/** Waits, by looking again and again, less and less often, until it holds. */
export const until = (holds: () => boolean | Promise<boolean>) =>
  Effect.promise(async (signal) => {
    for (let pause = 5; !signal.aborted && !(await holds()); pause = Math.min(pause * 1.5, 100)) await setTimeout(pause)
  })
