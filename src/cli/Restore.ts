import * as Fs from "node:fs/promises"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import { DateTime, Effect } from "effect"
import { stampOf } from "../store/sqlite/RestoreSwitch.ts"
import { database, databaseOf, pathOf } from "./Database.ts"
import { printChecks } from "./Doctor.ts"
import { failed, misused } from "./Failure.ts"
import { json, printFields, printJson } from "./Output.ts"

const from = Args.text({ name: "file" }).pipe(Args.withDescription("The backup, which stays as it is"))

const load = Effect.promise(() =>
  Promise.all([
    import("../store/sqlite/Sqlite.ts"),
    import("../store/sqlite/RestoreSwitch.ts"),
    import("../store/sqlite/PutInPlace.ts"),
    import("./DatabaseCopy.ts")
  ])
)

const failure = (cause: unknown) => failed(cause instanceof Error ? cause.message : String(cause))

export const restore = Command.make(
  "restore",
  { json, database, from },
  Effect.fnUntraced(function* ({ database, from, json }) {
    const given = yield* pathOf(from, "restore")
    const source = yield* Effect.tryPromise({
      try: () => Fs.realpath(given),
      catch: () => misused(`There is no backup at ${given}.`)
    })
    if ((yield* Effect.promise(() => Fs.stat(source))).isDirectory()) {
      return yield* misused(`${source} is a folder: name one of the backups in it.`)
    }
    const [{ lockDatabase }, { finishRestore }, { putInPlace, realFile }, { sizeOf, withCopy }] = yield* load
    const path = yield* databaseOf(database)
    const file = yield* Effect.tryPromise({ try: () => realFile(path), catch: failure })
    if (source === file) return yield* misused(`${file} is the database itself: name a backup.`)
    yield* lockDatabase(file).pipe(
      Effect.mapError(({ lines }) => failed(...lines.map((line) => line.replace("DATABASE_URL: ", ""))))
    )
    // One that a crash interrupted comes first.
    yield* Effect.tryPromise({ try: () => finishRestore(file), catch: failure })
    const unfinished = `${file}.unfinished`
    const stamp = stampOf(yield* DateTime.now)
    const { aside, errors } = yield* withCopy(source, unfinished, (errors) =>
      Effect.tryPromise({
        try: async () => ({ errors, aside: await putInPlace(file, unfinished, stamp) }),
        catch: failure
      }).pipe(Effect.uninterruptible)
    )
    const { bytes, orders, text } = yield* sizeOf(file)
    if (json) return yield* printJson({ database: file, backup: source, orders, bytes, aside, errors })
    yield* printFields([
      ["database", file],
      ["from", source],
      ["holds", text],
      ...(aside.length === 0 ? [] : [["former", aside.join(", ")] as const]),
      ["now", "start the service"]
    ])
    if (errors.length > 0) yield* printChecks(errors)
  }, Effect.scoped)
).pipe(Command.withDescription("Put a backup in the place of the database, while no service runs"))
