#!/usr/bin/env node
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Cause, Console, Effect, Exit, Layer } from "effect"
import packageJson from "../package.json" with { type: "json" }
import { cancel, retry } from "./cli/Act.ts"
import { HttpClientLive } from "./cli/Connection.ts"
import { doctor } from "./cli/Doctor.ts"
import { failureOf } from "./cli/Failure.ts"
import { failures, get, list, metrics } from "./cli/Look.ts"
import { withoutColours } from "./cli/Output.ts"
import { serve } from "./cli/Serve.ts"
import { simulate } from "./cli/Simulate.ts"
import { submit } from "./cli/Submit.ts"
import { watch } from "./cli/Watch.ts"
import { splitOptions } from "./cli/Words.ts"

const orders = Command.make("orders").pipe(
  Command.withDescription("Runs an order service, and talks to one that runs"),
  Command.withSubcommands([serve, submit, get, list, cancel, retry, failures, metrics, watch, simulate, doctor])
)

const argv = [...process.argv.slice(0, 2), ...splitOptions(process.argv.slice(2))]

let exitCode = 0

const program = Command.run(orders, { name: "orders", version: packageJson.version })(argv).pipe(
  Effect.catchAll((error) => {
    const failure = failureOf(error)
    exitCode = failure.exitCode
    return failure.lines.length > 0 ? Console.error(failure.lines.join("\n")) : Effect.void
  }),
  withoutColours,
  Effect.provide(
    Layer.mergeAll(
      NodeFileSystem.layer,
      NodePath.layer,
      NodeTerminal.layer,
      HttpClientLive,
      CliConfig.layer({ showBuiltIns: false }),
      Layer.setTracerEnabled(false)
    )
  )
)

// Whoever reads the output may have seen enough, as `head` does. A service goes on all the same.
if (process.argv[2] !== "serve") {
  process.stdout.on("error", (error) => process.exit("code" in error && error.code === "EPIPE" ? 0 : 1))
}

let signalled = 130
process.once("SIGTERM", () => {
  signalled = 143
})

NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  disablePrettyLogger: true,
  teardown: (exit, onExit) => {
    if (Exit.isSuccess(exit)) return onExit(exitCode)
    if (Cause.isInterruptedOnly(exit.cause)) return onExit(signalled)
    process.stderr.write(`${Cause.pretty(exit.cause)}\n`)
    onExit(1)
  }
})
