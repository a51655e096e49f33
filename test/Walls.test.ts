import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { importsOf, specifiersOf } from "./support/Imports.ts"

/** What any room but `order` and `api` may use: settings, clocks, loops, JSON. */
const base = [
  "AppConfig.ts",
  "DatabaseServer.ts",
  "FileMode.ts",
  "Json.ts",
  "JsonBytes.ts",
  "KeepRunning.ts",
  "LogLimit.ts",
  "Loopback.ts",
  "MonotonicClock.ts",
  "NextTurn.ts",
  "Pace.ts",
  "Redaction.ts",
  "RegularFile.ts",
  "SecretFile.ts",
  "ServerUrl.ts",
  "Setting.ts",
  "StartupError.ts",
  "TelemetrySettings.ts"
]

/** Which rooms a room may import; its own goes without saying. */
const mayImport: Record<string, ReadonlyArray<string>> = {
  order: [],
  api: ["order"],
  access: ["api", "base"],
  base: [],
  store: ["order", "base"],
  "store/sqlite": ["store", "order", "base"],
  "store/postgres": ["store", "order", "base"],
  "store/mariadb": ["store", "order", "base"],
  observe: ["store", "order", "base"],
  work: ["observe", "store", "order", "base"],
  Orders: ["observe", "store", "order", "base"],
  http: ["Orders", "work", "observe", "store", "access", "api", "order", "base"],
  cli: ["access", "api", "order", "base"],
  dashboard: ["api", "order"],
  top: [
    "http",
    "Orders",
    "access",
    "work",
    "observe",
    "store",
    "store/sqlite",
    "store/postgres",
    "store/mariadb",
    "api",
    "order",
    "base"
  ]
}

const ofSqlite = ["store/sqlite"]

/** The commands that open a database themselves: they alone see its folder, and what explains what is in it. */
const onDatabase: Record<string, ReadonlyArray<string>> = {
  "Backup.ts": ofSqlite,
  "Checkup.ts": ofSqlite,
  "Database.ts": ofSqlite,
  "DatabaseCopy.ts": ofSqlite,
  "DatabaseReader.ts": ofSqlite,
  "Migrate.ts": ["store", "store/sqlite", "store/postgres", "store/mariadb"],
  "OrderChecks.ts": ["store"],
  "Restore.ts": ofSqlite,
  "ServerChecks.ts": ["store"],
  "ServerCheckup.ts": ["store", "store/postgres", "store/mariadb"]
}

/** What only some rooms or files may import: a client of the API runs in a browser, and one folder knows its database. */
const keptApart = [
  { name: /^node:|platform-node/, to: Object.keys(mayImport).filter((room) => room !== "api" && room !== "dashboard") },
  { name: /^better-sqlite3|sql-sqlite-node/, to: ["store/sqlite", "cli/DatabaseReader.ts"] },
  { name: /^pg(-|$)|sql-pg/, to: ["store/postgres"] },
  { name: /^mysql2/, to: ["store/mariadb"] },
  { name: /^@effect\/cli/, to: ["cli"] }
]

/** The handlers reach no lower than the use cases. */
const handlers = ["BulkIntake.ts", "Http.ts", "Listing.ts", "SubmitRoute.ts"]

const files = Fs.readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .sort()

const roomOf = (file: string) => {
  const folder = Path.dirname(file)
  const database = /^store\/(sqlite|postgres|mariadb)/.exec(folder)?.[0]
  if (database !== undefined) return database
  if (folder !== ".") return folder.split("/")[0] ?? folder
  if (base.includes(file)) return "base"
  if (file === "cli.ts") return "cli"
  return file === "Orders.ts" ? "Orders" : "top"
}

const breaks = (file: string, source: string) => {
  const room = roomOf(file)
  const lower = room === "http" && handlers.includes(Path.basename(file)) ? ["store", "work"] : []
  const allowed = [...(mayImport[room] ?? []), room].filter((room) => !lower.includes(room))
  if (room === "cli") allowed.push(...(onDatabase[Path.basename(file)] ?? []))
  const rooms = importsOf(file, source).filter((imported) => !allowed.includes(roomOf(imported)))
  const packages = specifiersOf(source).filter((imported) =>
    keptApart.some(({ name, to }) => name.test(imported) && !to.includes(room) && !to.includes(file))
  )
  return [...rooms, ...packages].map((imported) => `${file} imports ${imported}`)
}

describe("The rooms", () => {
  it("import each other only as the arrows point", () => {
    assert.isAbove(files.length, 100)
    assert.deepStrictEqual(
      files.flatMap((file) => breaks(file, Fs.readFileSync(Path.join("src", file), "utf8"))),
      []
    )
  })

  it("have arrows that lead to no room twice", () => {
    const visit = (room: string, path: ReadonlyArray<string>): void => {
      assert.notInclude(path, room)
      for (const next of mayImport[room] ?? []) visit(next, [...path, room])
    }
    for (const room of Object.keys(mayImport)) visit(room, [])
  })

  for (const [file, source] of [
    ["order/Order.ts", 'import { asProblem } from "../api/Problem.ts"'],
    ["store/OrdersRepo.ts", 'import { make } from "./sqlite/Sqlite.ts"'],
    ["store/GroupCommit.ts", 'const metrics = await import("../observe/Metrics.ts")'],
    ["work/OrderWorkers.ts", 'export { Route } from "../http/Route.ts"'],
    ["http/Http.ts", 'import type { Command } from "../store/Command.ts"'],
    ["http/Http.ts", 'import { CircuitBreaker } from "../work/CircuitBreaker.ts"'],
    ["dashboard/main.ts", 'import "../Orders.ts"'],
    ["cli/Submit.ts", 'import { SqlLive } from "../store/sqlite/Sqlite.ts"'],
    ["cli/Backup.ts", 'import { Command } from "../store/Command.ts"'],
    ["work/Attempts.ts", "const http = await import(\n  `../http/Http.ts`\n)"],
    ["api/Client.ts", 'import * as Fs from "node:fs"'],
    ["store/OrdersRepoSql.ts", 'import { SqliteClient } from "@effect/sql-sqlite-node"'],
    ["store/sql/Dialect.ts", 'import { sqliteDialect } from "../sqlite/SqliteDialect.ts"'],
    ["store/sqlite/Sqlite.ts", 'import * as Pg from "pg"'],
    ["store/postgres/Postgres.ts", 'import * as Mysql from "mysql2"'],
    ["store/mariadb/MariaDb.ts", 'import { setUp } from "../postgres/SetUp.ts"']
  ] as const) {
    it(`keep ${source} out of ${file}`, () => {
      assert.lengthOf(breaks(file, source), 1)
    })
  }

  it("have no tag that imports an implementation of it", () => {
    const implementations = files.filter((file) => /^store\/OrdersRepo(Sql|Memory)|^work\/WebhookProcessor/.test(file))
    assert.lengthOf(implementations, 3)
    for (const tag of ["store/OrdersRepo.ts", "work/OrderProcessor.ts", "store/Statements.ts"]) {
      const source = Fs.readFileSync(Path.join("src", tag), "utf8")
      assert.deepStrictEqual(
        importsOf(tag, source).filter(
          (file) => implementations.includes(file) || /^store\/(sqlite|postgres|mariadb|memory)\//.test(file)
        ),
        []
      )
    }
  })

  it("have no barrel, and no file that says nothing of its idea", () => {
    assert.deepStrictEqual(
      files.filter((file) => /(^|\/)(index|lib|utils?|common|helpers?)\.ts$/.test(file)),
      []
    )
  })
})
