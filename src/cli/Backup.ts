import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import { DateTime, Effect } from "effect"
import { lockSuffix } from "../store/sqlite/LockFile.ts"
import { stampOf, statOf } from "../store/sqlite/RestoreSwitch.ts"
import { database, databaseOf, pathOf } from "./Database.ts"
import { printChecks } from "./Doctor.ts"
import { Failure, failed, misused } from "./Failure.ts"
import { json, printFields, printJson } from "./Output.ts"

const to = Args.text({ name: "to" }).pipe(
  Args.withDescription("A folder, for a file of a dated name in it, or a file; a backup of that name is replaced")
)

const stat = (path: string) => Effect.promise(() => statOf(path))

/** A name in the folder that no file has yet. */
const nameIn = Effect.fnUntraced(function* (folder: string, source: string) {
  const name = `${Path.basename(source, ".db")}-${stampOf(yield* DateTime.now)}`
  for (let count = 1; ; count++) {
    const file = Path.join(folder, count === 1 ? `${name}.db` : `${name}-${count}.db`)
    if ((yield* stat(file)) === undefined) return file
  }
})

/** A backup is one file. What has a lock or a `-wal` beside it is, or was, in use. */
const isInUse = Effect.fnUntraced(function* (file: string) {
  return (yield* stat(file + lockSuffix)) !== undefined || (yield* stat(`${file}-wal`)) !== undefined
})

/** Where the backup goes. Only an earlier backup is ever replaced. */
const destination = Effect.fnUntraced(function* (given: string, source: string) {
  const named = yield* pathOf(given, "backup")
  // Through links, or a link to the database itself would be replaced.
  const path = yield* Effect.promise(() => Fs.realpath(named).catch(() => named))
  const found = yield* stat(path)
  if (found?.isDirectory()) return yield* nameIn(path, source)
  const folder = /[/\\]$/.test(given) ? path : Path.dirname(path)
  if (!(yield* stat(folder))?.isDirectory()) return yield* failed(`There is no folder ${folder}: make it first.`)
  if (found === undefined) return path
  if (!found.isFile()) return yield* failed(`${path} is neither a file nor a folder.`)
  if (path === source || (yield* isInUse(path))) {
    return yield* failed(`${path} is a database in use, so it is not replaced: name another file.`)
  }
  const { ownHeader } = yield* Effect.promise(() => import("./DatabaseReader.ts"))
  if (!(yield* ownHeader(path).pipe(Effect.catchAllDefect(() => Effect.succeed(false))))) {
    return yield* failed(`${path} is there and is no backup, so it is not replaced: name another file.`)
  }
  return path
})

export const backup = Command.make(
  "backup",
  { json, database, to },
  Effect.fnUntraced(function* ({ database, json, to }) {
    const given = yield* databaseOf(database)
    const source = yield* Effect.tryPromise({
      try: () => Fs.realpath(given),
      catch: () => misused(`There is no database at ${given}. Name it by --database PATH or DATABASE_URL.`)
    })
    const { sizeOf, withCopy } = yield* Effect.promise(() => import("./DatabaseCopy.ts"))
    const { sync } = yield* Effect.promise(() => import("../store/sqlite/RestoreSwitch.ts"))
    const file = yield* destination(to, source)
    const unfinished = `${file}.unfinished-${process.pid}`
    const errors = yield* withCopy(source, unfinished, (errors) =>
      Effect.tryPromise({
        try: () => Fs.rename(unfinished, file).then(() => sync(Path.dirname(file))),
        catch: (cause) => failed(`The backup cannot be named ${file}: ${String(cause)}`)
      }).pipe(Effect.as(errors))
    )
    const { bytes, orders, text } = yield* sizeOf(file)
    const ok = errors.length === 0
    if (json) yield* printJson({ backup: file, database: source, orders, bytes, ok, errors })
    else {
      yield* printFields([
        ["backup", file],
        ["of", source],
        ["holds", text],
        ["checked", ok ? "ok" : "has errors, as the database itself has"]
      ])
      if (!ok) yield* printChecks(errors)
    }
    if (!ok) return yield* new Failure({ lines: [], exitCode: 1 })
  })
).pipe(Command.withDescription("Copy the database and check the copy, running service or not"))
