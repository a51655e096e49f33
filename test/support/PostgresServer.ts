import { execFile, execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { promisify } from "node:util"
import { Effect } from "effect"
import { inject } from "vitest"
import { freePort } from "./FreePort.ts"
import { copyTemplate } from "./Templates.ts"

const run = promisify(execFile)

/** The folder of the newest server that is installed, where Debian or PATH has it. */
const findBinaries = () => {
  const debian = "/usr/lib/postgresql"
  const versions = Fs.existsSync(debian) ? Fs.readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map((version) => Path.join(debian, version, "bin")),
    ...(process.env.PATH ?? "").split(":")
  ]
  return folders.find((folder) => ["initdb", "pg_ctl"].every((name) => Fs.existsSync(Path.join(folder, name))))
}

/** PostgreSQL refuses to run as root: then its own user runs it. */
const findUser = () => {
  if (process.geteuid?.() !== 0) return { before: [], uid: -1 }
  try {
    const uid = Number(execFileSync("id", ["-u", "postgres"], { encoding: "utf8", stdio: "pipe" }))
    return { before: ["runuser", "-u", "postgres", "--"], uid }
  } catch {
    return undefined
  }
}

const binaries = findBinaries()
/** Who runs servers, and what a command begins with for that. */
export const serverUser = findUser()

export const hasServer = binaries !== undefined && serverUser !== undefined
/** Behind the name of what is skipped without one. */
export const unlessServer = hasServer ? "" : " (no initdb and pg_ctl, or no user to run them as)"

/** The password of the server's user `postgres` over TCP; its socket needs none. */
export const serverPassword = "not the usual one"

/** A server of its own in a folder under that one, with TLS if it is given a certificate; it ends with the scope. */
export const startServer = (folder: string, tls?: { readonly cert: string; readonly key: string }) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const { before, uid } = serverUser ?? { before: [], uid: -1 }
      const home = Path.join(folder, "postgres")
      const data = Path.join(home, "data")
      const secret = Path.join(home, "secret")
      Fs.chmodSync(folder, 0o755)
      Fs.mkdirSync(home)
      Fs.writeFileSync(secret, serverPassword)
      const [cert, key] = [Path.join(home, "cert.pem"), Path.join(home, "key.pem")]
      for (const [path, text] of tls
        ? ([
            [cert, tls.cert],
            [key, tls.key]
          ] as const)
        : []) {
        Fs.writeFileSync(path, text, { mode: 0o600 })
        Fs.chownSync(path, uid, -1)
      }
      for (const path of [home, secret]) Fs.chownSync(path, uid, -1)
      const port = await freePort()
      const call = async (name: string, ...args: ReadonlyArray<string>) => {
        const [program = "", ...rest] = [...before, Path.join(binaries ?? "", name), ...args]
        // Of what the server prints, pg_ctl would wait for the end.
        await run(program, rest, { cwd: home })
      }
      const ssl = tls ? `-c ssl=on -c ssl_cert_file=${cert} -c ssl_key_file=${key}` : ""
      const options = `-p ${port} -h 127.0.0.1 -k ${home} ${ssl}`
      const start = () => call("pg_ctl", "-D", data, "-w", "-l", Path.join(home, "log"), "-o", options, "start")
      const stop = (mode: "fast" | "immediate") => call("pg_ctl", "-D", data, "-w", "-m", mode, "stop")
      await copyTemplate(Path.join(inject("templates"), "postgres"), data, (made) =>
        call(
          "initdb",
          "--no-sync",
          "-D",
          made,
          "-U",
          "postgres",
          "--pwfile",
          secret,
          "-E",
          "UTF8",
          "--auth-local=trust",
          "--auth-host=scram-sha-256"
        )
      )
      await start()
      return {
        url: (database: string, password = serverPassword) =>
          `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`,
        start: Effect.promise(start),
        /** Its processes. */
        pids: () => {
          const [main] = Fs.readFileSync(Path.join(data, "postmaster.pid"), "utf8").split("\n")
          const children = Fs.readFileSync(`/proc/${main}/task/${main}/children`, "utf8")
          return [main, ...children.trim().split(" ")].map(Number)
        },
        stop: (mode: "fast" | "immediate") => Effect.promise(() => stop(mode))
      }
    }),
    ({ stop }) => Effect.ignore(Effect.sandbox(stop("immediate")))
  )
