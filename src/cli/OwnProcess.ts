import { spawn } from "node:child_process"
import { Effect } from "effect"
import { failed } from "./Failure.ts"

const mark = "ORDERS_OWN_PROCESS"

/** Whether this process is the one that another has begun by {@link inOwnProcess}. */
export const isOwnProcess = process.env[mark] !== undefined

/**
 * Runs this command once more, in a process of its own, which writes where this one would: its exit code. SQLite does not
 * listen to signals while it works at a statement, and a file decides how long that takes; a process can always be ended.
 */
export const inOwnProcess = (program: string) =>
  Effect.async<number, ReturnType<typeof failed>>((resume) => {
    const child = spawn(process.execPath, [...process.execArgv, program, ...process.argv.slice(2)], {
      stdio: "inherit",
      env: { ...process.env, [mark]: "1" }
    })
    child.on("error", (error) => resume(failed(`The check cannot be begun: ${error.message}.`)))
    child.on("exit", (code, signal) => {
      if (code !== null) return resume(Effect.succeed(code))
      // A Ctrl-C goes to both.
      resume(
        signal === "SIGINT" || signal === "SIGTERM" ? Effect.interrupt : failed(`The check was ended by ${signal}.`)
      )
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })
