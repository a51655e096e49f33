import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { importsOf } from "./support/Imports.ts"

/** What any room but `order` and `api` may use: settings, clocks, loops, JSON. */
const base = [
  "AppConfig.ts",
  "Json.ts",
  "KeepRunning.ts",
  "LogLimit.ts",
  "MonotonicClock.ts",
  "NextTurn.ts",
  "Pace.ts",
  "Setting.ts",
  "StartupError.ts",
  "TelemetrySettings.ts"
]

/** Which rooms a room may import; its own goes without saying. */
const mayImport: Record<string, ReadonlyArray<string>> = {
  order: [],
  api: ["order"],
  base: [],
  store: ["order", "base"],
  "store/sqlite": ["store", "order", "base"],
  observe: ["store", "order", "base"],
  work: ["observe", "store", "order", "base"],
  Orders: ["observe", "store", "order", "base"],
  http: ["Orders", "work", "observe", "store", "api", "order", "base"],
  cli: ["api", "order", "base"],
  dashboard: ["api", "order"],
  top: ["http", "Orders", "work", "observe", "store", "store/sqlite", "api", "order", "base"]
}

/** The commands that open a database themselves: they alone see its folder. */
const onDatabase = [
  "Backup.ts",
  "Check.ts",
  "Checkup.ts",
  "Database.ts",
  "DatabaseCopy.ts",
  "DatabaseReader.ts",
  "OrderChecks.ts",
  "Restore.ts"
]

/** The handlers reach no lower than the use cases. */
const handlers = ["BulkIntake.ts", "Http.ts", "Listing.ts", "SubmitRoute.ts"]

const files = Fs.readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .sort()

const roomOf = (file: string) => {
  const folder = Path.dirname(file)
  if (folder.startsWith("store/sqlite")) return "store/sqlite"
  if (folder !== ".") return folder.split("/")[0] ?? folder
  if (base.includes(file)) return "base"
  if (file === "cli.ts") return "cli"
  return file === "Orders.ts" ? "Orders" : "top"
}

const breaks = (file: string, source: string) => {
  const room = roomOf(file)
  const allowed = [...(mayImport[room] ?? []), room]
  if (room === "cli" && onDatabase.includes(Path.basename(file))) allowed.push("store", "store/sqlite")
  if (handlers.includes(Path.basename(file))) allowed.splice(allowed.indexOf("store"), 1)
  return importsOf(file, source)
    .filter((imported) => !allowed.includes(roomOf(imported)))
    .map((imported) => `${file} imports ${imported}`)
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
    ["dashboard/main.ts", 'import "../Orders.ts"'],
    ["cli/Submit.ts", 'import { SqlLive } from "../store/sqlite/Sqlite.ts"']
  ] as const) {
    it(`keep ${source} out of ${file}`, () => {
      assert.lengthOf(breaks(file, source), 1)
    })
  }

  it("have no file but an implementation's own that imports one", () => {
    const tag = Fs.readFileSync("src/store/OrdersRepo.ts", "utf8")
    assert.deepStrictEqual(
      importsOf("store/OrdersRepo.ts", tag).filter((file) => /OrdersRepo(Sql|Memory)/.test(file)),
      []
    )
  })

  it("have no barrel, and no file that says nothing of its idea", () => {
    assert.deepStrictEqual(
      files.filter((file) => /(^|\/)(index|lib|utils?|common|helpers?)\.ts$/.test(file)),
      []
    )
  })
})
