import * as Command from "@effect/cli/Command"
import { Effect, Option } from "effect"
import type { DatabaseServer } from "../DatabaseServer.ts"
import type { Check } from "./Check.ts"
import { databaseOf, databaseOrServer } from "./Database.ts"
import { Failure } from "./Failure.ts"
import { Coloured, json, printFields, printJson, printTable } from "./Output.ts"
import { serverOf } from "./Place.ts"

const colours = { ok: "green", warning: "yellow", error: "red" } as const

/** What was found, and what to do about it. */
export const printChecks = Effect.fnUntraced(function* (checks: ReadonlyArray<Check>) {
  yield* printTable(
    ["CHECK", "STATE", "FOUND"],
    checks.map(({ found, name, state }) => [name, new Coloured(colours[state], state), found])
  )
  const advice = checks.flatMap(({ advice, name }) => (advice === null ? [] : [[name, advice] as const]))
  if (advice.length > 0) yield* printTable(["CHECK", "WHAT TO DO"], advice)
})

// What only this command needs is loaded only for it, the SQLite module above all.
const examined = Effect.fnUntraced(function* (database: Option.Option<string>) {
  const file = yield* databaseOf(database)
  const { examine } = yield* Effect.promise(() => import("./Checkup.ts"))
  return { shown: file, checks: yield* examine(file) }
})

const examinedServer = Effect.fnUntraced(function* (server: DatabaseServer) {
  const { examineServer } = yield* Effect.promise(() => import("./ServerCheckup.ts"))
  return { shown: server.shown, checks: yield* examineServer(server) }
})

export const doctor = Command.make(
  "doctor",
  { json, database: databaseOrServer },
  Effect.fnUntraced(function* ({ database, json }) {
    const { checks, shown } = yield* Option.match(yield* serverOf(database), {
      onNone: () => examined(database),
      onSome: examinedServer
    })
    const ok = checks.every((check) => check.state === "ok")
    if (json) yield* printJson({ database: shown, ok, checks })
    else yield* Effect.zipRight(printFields([["database", shown]]), printChecks(checks))
    if (!ok) return yield* new Failure({ lines: [], exitCode: 1 })
  })
).pipe(Command.withDescription("Check a database, read-only, whether the service runs or not"))
