import * as Command from "@effect/cli/Command"
import { Effect } from "effect"
import type { Check } from "./Check.ts"
import { database, databaseOf } from "./Database.ts"
import { Failure } from "./Failure.ts"
import { Coloured, json, printFields, printJson, printTable } from "./Output.ts"

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

export const doctor = Command.make(
  "doctor",
  { json, database },
  Effect.fnUntraced(function* ({ database, json }) {
    const file = yield* databaseOf(database)
    // What only this command needs is loaded only for it, the SQLite module above all.
    const { examine } = yield* Effect.promise(() => import("./Checkup.ts"))
    const checks = yield* examine(file)
    const ok = checks.every((check) => check.state === "ok")
    if (json) yield* printJson({ database: file, ok, checks })
    else yield* Effect.zipRight(printFields([["database", file]]), printChecks(checks))
    if (!ok) return yield* new Failure({ lines: [], exitCode: 1 })
  })
).pipe(Command.withDescription("Check a database, read-only, whether the service runs or not"))
