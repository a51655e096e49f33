import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { Effect, Predicate } from "effect"
import { inject } from "vitest"
import { freePort } from "./FreePort.ts"
import { queryMariaDb } from "./MariaDb.ts"
import { copyTemplate } from "./Templates.ts"

const run = promisify(execFile)

const folders = ["/usr/sbin", "/usr/bin", ...(process.env.PATH ?? "").split(":")]
const find = (name: string) => folders.map((folder) => Path.join(folder, name)).find((path) => Fs.existsSync(path))

/** MariaDB refuses to run as root unless it is told the user: then its own user runs it. */
const findUser = () => {
  if (process.geteuid?.() !== 0) return { args: [], uid: -1 }
  try {
    return {
      args: ["--user=mysql"],
      uid: Number(execFileSync("id", ["-u", "mysql"], { encoding: "utf8", stdio: "pipe" }))
    }
  } catch {
    return undefined
  }
}

const [install, program, user] = [find("mariadb-install-db"), find("mariadbd"), findUser()]

export const hasMariaDbServer = install !== undefined && program !== undefined && user !== undefined
/** Behind the name of what is skipped without one. */
export const unlessMariaDbServer = hasMariaDbServer ? "" : " (no mariadbd, or no user to run it as)"

/** A server of its own, with a database `orders`, in a folder under that one; it ends with the scope. */
export const startMariaDbServer = (folder: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const { args, uid } = user ?? { args: [], uid: -1 }
      const home = Path.join(folder, "mariadb")
      const data = Path.join(home, "data")
      Fs.chmodSync(folder, 0o755)
      Fs.mkdirSync(home)
      Fs.chownSync(home, uid, -1)
      const port = await freePort()
      const url = (database: string) => `mariadb://root@127.0.0.1:${port}/${database}`
      const common = (data: string) => ["--no-defaults", `--datadir=${data}`, `--tmpdir=${home}`, ...args]
      await copyTemplate(Path.join(inject("templates"), "mariadb"), data, (made) =>
        run(install ?? "", [...common(made), "--auth-root-authentication-method=normal", "--skip-test-db"], {
          cwd: home
        })
      )

      let child: ChildProcess | undefined
      const start = async () => {
        const options = [`--port=${port}`, "--bind-address=127.0.0.1", `--socket=${Path.join(home, "socket")}`]
        const started = spawn(program ?? "", [...common(data), ...options], { cwd: home, stdio: "ignore" })
        child = started
        while (true) {
          const isUp = await queryMariaDb(url(""), "SELECT 1").then(
            () => true,
            () => false
          )
          if (isUp) return
          if (started.exitCode !== null) throw new Error(`mariadbd ended with ${started.exitCode}`)
          await sleep(50)
        }
      }
      const end = async (signal: "SIGTERM" | "SIGKILL") => {
        const running = child
        child = undefined
        if (running === undefined || running.exitCode !== null) return
        const ended = once(running, "exit")
        running.kill(signal)
        await ended
      }
      await start()
      await queryMariaDb(url(""), "CREATE DATABASE orders")
      return {
        url: url("orders"),
        /** A path at which there is nothing yet, for a pipe that the server can read. */
        fifo: Path.join(home, "fifo"),
        start: Effect.promise(start),
        /** Its process. */
        pids: () => [child?.pid].filter(Predicate.isNotUndefined),
        stop: (signal: "SIGTERM" | "SIGKILL") => Effect.promise(() => end(signal))
      }
    }),
    ({ stop }) => Effect.ignore(Effect.sandbox(stop("SIGKILL")))
  )
