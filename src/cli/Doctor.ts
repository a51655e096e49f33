import * as Path from "node:path"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { ConfigProvider, Effect, Option } from "effect"
import { Failure, misused } from "./Failure.ts"
import { Coloured, json, printFields, printJson, printTable } from "./Output.ts"

const colours = { ok: "green", warning: "yellow", error: "red" } as const

const database = Options.text("database").pipe(
  Options.withPseudoName("file"),
  Options.optional,
  Options.withDescription("A path, with or without file: before it [default: DATABASE_URL, or file:./data/orders.db]")
)

/** What only this command needs is loaded only for it, the SQLite module above all. */
const load = Effect.promise(() => Promise.all([import("../AppConfig.ts"), import("./Checkup.ts")]))

export const doctor = Command.make(
  "doctor",
  { json, database },
  Effect.fnUntraced(function* ({ database, json }) {
    const [{ databaseFile, EnvironmentLive, settingsError }, { examine }] = yield* load
    const file = yield* Option.match(database, {
      onNone: () =>
        Effect.provide(
          Effect.suspend(() => databaseFile),
          EnvironmentLive
        ),
      onSome: (given) =>
        /^[^:/\\]*:|^$/.test(given)
          ? Effect.withConfigProvider(databaseFile, ConfigProvider.fromMap(new Map([["DATABASE_URL", given]])))
          : Effect.succeed(Path.resolve(given))
    }).pipe(
      Effect.mapError((error) => {
        const name = Option.isSome(database) ? "--database" : "DATABASE_URL"
        return misused(...settingsError(error).lines.map((line) => line.replace("DATABASE_URL", name)))
      })
    )
    const checks = yield* examine(file)
    const problems = checks.filter((check) => check.state !== "ok")
    if (json) yield* printJson({ database: file, ok: problems.length === 0, checks })
    else {
      yield* printFields([["database", file]])
      yield* printTable(
        ["CHECK", "STATE", "FOUND"],
        checks.map(({ found, name, state }) => [name, new Coloured(colours[state], state), found])
      )
      const advice = problems.flatMap(({ advice, name }) => (advice === null ? [] : [[name, advice] as const]))
      if (advice.length > 0) yield* printTable(["CHECK", "WHAT TO DO"], advice)
    }
    if (problems.length > 0) return yield* new Failure({ lines: [], exitCode: 1 })
  })
).pipe(Command.withDescription("Check a database, read-only, whether the service runs or not"))
