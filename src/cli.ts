#!/usr/bin/env node
import { fileURLToPath } from "node:url"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Cause, Effect, Exit, Layer } from "effect"
import packageJson from "../package.json" with { type: "json" }
import { answerOf } from "./cli/Answer.ts"
import { HttpClientLive } from "./cli/Connection.ts"
import { printFailure } from "./cli/Failure.ts"
import { Outlet } from "./cli/Outlet.ts"
import { printErrorLines, printingOn } from "./cli/Output.ts"
import { inOwnProcess, isOwnProcess } from "./cli/OwnProcess.ts"
import { visibleLines } from "./order/VisibleText.ts"

const { isActing, isExamination, isJson, isService, run } = answerOf(process.argv.slice(2), packageJson.version)

const done = Effect.as(run, 0)

const outcome = (isExamination && !isOwnProcess ? inOwnProcess(fileURLToPath(import.meta.url)) : done).pipe(
  Effect.catchAll((error) => printFailure(error, isJson))
)

/** What it prints may be lost. A command that acts goes on all the same; one that only shows has nothing left to do. */
const onOutlets = Effect.suspend(() => {
  const output = new Outlet("Standard output", process.stdout)
  const error = new Outlet("Standard error", process.stderr)
  const shown = isActing ? outcome : Effect.raceFirst(outcome, Effect.as(output.failed, 0))
  return Effect.gen(function* () {
    const code = yield* shown
    if (isService) return code
    yield* output.flushed
    if (output.lost !== undefined && (isActing || output.lost !== "EPIPE")) {
      const note = isActing ? " The command has gone on to its end." : ""
      yield* printErrorLines([`Standard output could not be written (${output.lost}).${note}`])
    }
    yield* error.flushed
    return code === 0 && (output.lost ?? error.lost) !== undefined ? 3 : code
  }).pipe(printingOn(output, error))
})

let exitCode = 0

const program = onOutlets.pipe(
  Effect.tap((code) =>
    Effect.sync(() => {
      exitCode = code
    })
  ),
  Effect.provide(
    Layer.mergeAll(
      NodeFileSystem.layer,
      NodePath.layer,
      NodeTerminal.layer,
      HttpClientLive,
      Layer.setTracerEnabled(false)
    )
  )
)

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
    process.stderr.write(`${visibleLines(Cause.pretty(exit.cause))}\n`)
    onExit(1)
  }
})
