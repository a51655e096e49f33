import * as Options from "@effect/cli/Options"
import { Config, ConfigProvider, Effect, Option } from "effect"
import type { DatabaseServer } from "../DatabaseServer.ts"
import { databaseOf } from "./Database.ts"
import { misused } from "./Failure.ts"

/** Where a database is: the path of a file, or a server. */
export type Place = { readonly file: string } | { readonly server: DatabaseServer }

/** Which end of a move. */
export type End = "from" | "to"

/** What names a database, and what has its password. */
export const placeOptions = (end: End, about: string) =>
  Options.all({
    given: Options.text(end).pipe(Options.withPseudoName("database"), Options.withDescription(about)),
    passwordFile: Options.file(`${end}-password-file`).pipe(
      Options.withPseudoName("file"),
      Options.optional,
      Options.withDescription(`A file with the password for --${end}; in the URL all users of this machine can see it`)
    )
  })

/** The server that the option or DATABASE_URL names, with the password of the settings; none for a file. */
export const serverOf = Effect.fnUntraced(function* (given: Option.Option<string>) {
  const [{ databaseServer, namesServer }, { EnvironmentLive, settingsError }] = yield* Effect.promise(() =>
    Promise.all([import("../DatabaseServer.ts"), import("../AppConfig.ts")])
  )
  const settings = Effect.gen(function* () {
    const named = Option.isSome(given) ? given : yield* Config.option(Config.string("DATABASE_URL"))
    if (!Option.exists(named, (url) => namesServer(url.trim()))) return Option.none<DatabaseServer>()
    const read = Effect.suspend(() => databaseServer)
    if (Option.isNone(given)) return yield* read
    const others = yield* Effect.configProviderWith(Effect.succeed)
    const first = ConfigProvider.fromMap(new Map([["DATABASE_URL", given.value]]))
    return yield* Effect.withConfigProvider(
      read,
      ConfigProvider.orElse(first, () => others)
    )
  })
  return yield* Effect.provide(settings, EnvironmentLive).pipe(
    Effect.mapError((error) => {
      const name = Option.isSome(given) ? "--database" : "DATABASE_URL"
      return misused(...settingsError(error).lines.map((line) => line.replaceAll("DATABASE_URL", name)))
    })
  )
})

/** What the options name. The settings of the service mean nothing to it. */
export const placeOf = Effect.fnUntraced(function* (
  end: End,
  { given, passwordFile }: { readonly given: string; readonly passwordFile: Option.Option<string> }
): Effect.fn.Return<Place, ReturnType<typeof misused>> {
  const [{ databaseServer, namesServer }, { settingsError }] = yield* Effect.promise(() =>
    Promise.all([import("../DatabaseServer.ts"), import("../AppConfig.ts")])
  )
  if (!namesServer(given)) {
    if (Option.isSome(passwordFile)) return yield* misused(`--${end}-password-file: --${end} is not on a server.`)
    return { file: yield* databaseOf(Option.some(given), `--${end}`) }
  }
  const settings = new Map([
    ["DATABASE_URL", given],
    ...Option.match(passwordFile, { onNone: () => [], onSome: (file) => [["DATABASE_PASSWORD_FILE", file] as const] })
  ])
  const server = yield* Effect.withConfigProvider(databaseServer, ConfigProvider.fromMap(settings)).pipe(
    Effect.mapError((error) =>
      misused(
        ...settingsError(error).lines.map((line) =>
          line.replaceAll("DATABASE_URL", `--${end}`).replaceAll("DATABASE_PASSWORD_FILE", `--${end}-password-file`)
        )
      )
    )
  )
  return Option.match(server, {
    onNone: () => ({ file: given }),
    onSome: (server) => ({ server })
  })
})
