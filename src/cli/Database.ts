import * as Path from "node:path"
import * as Options from "@effect/cli/Options"
import { ConfigProvider, Effect, Option } from "effect"
import { quoted } from "../Redaction.ts"
import { misused } from "./Failure.ts"

export const database = Options.text("database").pipe(
  Options.withPseudoName("file"),
  Options.optional,
  Options.withDescription("A path, with or without file: before it [default: DATABASE_URL, or file:./data/orders.db]")
)

/** The same for commands that know servers, too. */
export const databaseOrServer = Options.text("database").pipe(
  Options.withPseudoName("database"),
  Options.optional,
  Options.withDescription("A path, or postgres://user@host/name [default: DATABASE_URL, or file:./data/orders.db]")
)

/** A shell reads `~` as the home folder only where it begins a word, and nobody means a folder of that name. */
export const pathOf = (given: string, name: string) =>
  given === "" || given.startsWith("~")
    ? misused(`${name}: given ${quoted(given)}, allowed is a path; ~ is not read as the home folder here.`)
    : Effect.succeed(Path.resolve(given))

/** The path of the database, by that option or as the service has it. The settings are loaded only when they are needed. */
export const databaseOf = Effect.fnUntraced(function* (given: Option.Option<string>, option = "--database") {
  const { databaseFile, EnvironmentLive, settingsError } = yield* Effect.promise(() => import("../AppConfig.ts"))
  if (Option.isSome(given) && !/^[^:/\\]*:|^$/.test(given.value)) return yield* pathOf(given.value, option)
  const read = Effect.suspend(() => databaseFile)
  return yield* Option.match(given, {
    onNone: () => Effect.provide(read, EnvironmentLive),
    onSome: (given) => Effect.withConfigProvider(read, ConfigProvider.fromMap(new Map([["DATABASE_URL", given]])))
  }).pipe(
    Effect.mapError((error) => {
      const name = Option.isSome(given) ? option : "DATABASE_URL"
      return misused(...settingsError(error).lines.map((line) => line.replace("DATABASE_URL", name)))
    })
  )
})
