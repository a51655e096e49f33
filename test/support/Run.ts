import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { Effect } from "effect"

export const execute = promisify(execFile)

/** What a command prints. One that fails is a defect with all that it printed. */
export const run = (folder: string, command: string, args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  Effect.tryPromise((signal) => execute(command, args, { cwd: folder, env: { ...process.env, ...env }, signal })).pipe(
    Effect.map(({ stdout }) => stdout),
    Effect.catchAll(({ error }) =>
      Effect.dieMessage(
        `${command} ${args.join(" ")}: ${error}${error instanceof Error && "stdout" in error ? error.stdout : ""}`
      )
    )
  )
