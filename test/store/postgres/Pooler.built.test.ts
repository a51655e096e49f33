import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { freePort } from "../../support/FreePort.ts"
import { hasPostgres, postgresSchemas, queryPostgres, unlessPostgres } from "../../support/Postgres.ts"
import { serverUser } from "../../support/PostgresServer.ts"
import { aNewOrder, failToStart, post, startService } from "../../support/ServiceProcess.ts"
import { temporaryFolder } from "../../support/TestLayers.ts"
import { until } from "../../support/Until.ts"

const folders = ["/usr/sbin", ...(process.env.PATH ?? "").split(":")]
const program = folders.map((folder) => Path.join(folder, "pgbouncer")).find((path) => Fs.existsSync(path))
const unlessThere = program === undefined ? " (no pgbouncer)" : unlessPostgres

/** PgBouncer in front of a database: the URL of that through it. */
const pooled = (folder: string, database: string, mode: "session" | "transaction") =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const url = new URL(database)
      const port = await freePort()
      const name = url.pathname.slice(1)
      const file = Path.join(folder, `${mode}.ini`)
      const password = url.password === "" ? "" : `password='${decodeURIComponent(url.password)}'`
      const settings = [
        "[databases]",
        `${name} = host=${url.hostname} port=${url.port || "5432"} user=${url.username} ${password}`,
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        `listen_port = ${port}`,
        "unix_socket_dir =",
        "auth_type = any",
        `pool_mode = ${mode}`
      ]
      Fs.chmodSync(folder, 0o755)
      Fs.writeFileSync(file, settings.join("\n"))
      const [command = "", ...args] = [...(serverUser?.before ?? []), program ?? "", file]
      const child = spawn(command, args, { stdio: "ignore" })
      const ended = once(child, "exit")
      url.port = String(port)
      url.search = ""
      return { url: url.href, child, ended }
    }),
    ({ child, ended }) =>
      Effect.promise(() => {
        child.kill("SIGTERM")
        return ended
      })
  )

describe.skipIf(program === undefined || !hasPostgres || serverUser === undefined)(`A pooler${unlessThere}`, () => {
  const schemas = postgresSchemas()

  it.scopedLive("is refused if it gives sessions to several clients, and is not if each has its own", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const database = yield* schemas
      const pool = (mode: "session" | "transaction") =>
        Effect.tap(pooled(folder, database, mode), ({ url }) =>
          until(() =>
            queryPostgres(url, "SELECT 1").then(
              () => true,
              () => false
            )
          )
        )
      const shared = yield* pool("transaction")
      const { code, stderr } = yield* failToStart(folder, { DATABASE_URL: shared.url })
      assert.strictEqual(code, 1)
      assert.match(stderr, /^DATABASE_URL: [^\n]*a pooler [^\n]*several clients: name the server itself[^\n]*\n$/)

      const own = yield* pool("session")
      const service = yield* startService(folder, { DATABASE_URL: own.url })
      assert.strictEqual((yield* Effect.promise(() => post(service.url, aNewOrder(1)))).status, 202)
      const second = yield* failToStart(folder, { DATABASE_URL: own.url })
      assert.match(second.stderr, /in use by another process/)
    })
  )
})
