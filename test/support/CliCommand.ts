import * as Path from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Clock, ConfigProvider, Console, Effect, Layer } from "effect"
import { answerOf } from "../../src/cli/Answer.ts"
import { HttpClientLive } from "../../src/cli/Connection.ts"
import { printFailure } from "../../src/cli/Failure.ts"

export interface CliAnswer {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly url?: string
  readonly folder?: string
  readonly env?: Record<string, string>
}

/**
 * Runs a command in the process of the tests, which costs a tenth of a process of its own: for what a command does, not
 * for how the program starts, reads, writes and ends. Commands in a folder run one at a time.
 */
export const command = (args: ReadonlyArray<string>, { env = {}, folder, url }: CommandOptions = {}) =>
  Effect.gen(function* () {
    const output = { stdout: "", stderr: "" }
    const to = (name: keyof typeof output) => (text: unknown) =>
      Effect.sync(() => {
        output[name] += `${text}\n`
      })
    const { isJson, run } = answerOf(args, "")
    const environment = new Map([
      ...(url === undefined ? [] : [["ORDERS_URL", url] as const]),
      ...(folder === undefined ? [] : [["DATABASE_URL", `file:${Path.join(folder, "data/orders.db")}`] as const]),
      ...Object.entries(env)
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
