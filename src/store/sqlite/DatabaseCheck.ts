import type { Stats } from "node:fs"
import { Effect } from "effect"
import { StartupError } from "../../StartupError.ts"
import { countedTotals } from "../sql/CountedTotals.ts"
import { readSchema, runsWhenRead, schemaQuery } from "./DatabaseSchema.ts"
import { statOf } from "./RestoreSwitch.ts"
import { openDatabase } from "./SqliteDriver.ts"
import { messageOf } from "./SqliteErrors.ts"

export const damaged = (file: string, why: string) =>
  new StartupError({
    lines: [
      `DATABASE_URL: ${file} is damaged (${why}): put a backup in place with \`orders restore\`, ` +
        "or see what `orders doctor` finds"
    ]
  })

/** SQLite would delete the `-wal`, and with it the newest orders. */
const orphaned = (file: string) =>
  new StartupError({
    lines: [
      `DATABASE_URL: ${file} is gone or empty, but its -wal is there: put the database back, or a backup with ` +
        "`orders restore`; to begin anew, delete the -wal too"
    ]
  })

/**
 * Why the database and its `-wal` may not fit together; undefined if nothing says so. SQLite writes into the `-wal` first
 * and leaves none behind when it is closed, so after a crash the database is the older of the two, unless nothing was
 * committed after the last checkpoint: then it is checked without need.
 */
const suspicion = ([main, wal, index]: ReadonlyArray<Stats | undefined>) => {
  if (main === undefined || main.size === 0) return undefined
  if (wal === undefined) return index && "its -wal is gone, though it was not closed"
  return wal.size > 0 && main.ctimeMs > wal.mtimeMs ? "it was changed after its -wal was last written" : undefined
}

/** Reads every page, and counts the orders: what is found wrong. Changes nothing, so that the evidence stays. */
const faultOf = (file: string): string | undefined => {
  const db = openDatabase(file, { readonly: true, fileMustExist: true, timeout: 5000 })
  try {
    const [stranger] = runsWhenRead(readSchema(db.prepare(schemaQuery).all()).rows)
    if (stranger !== undefined) return `its ${stranger} is not of this service`
    const found = String(db.prepare("PRAGMA integrity_check(1)").pluck().get())
    if (found !== "ok") return found.replace(/^\*\*\* .*\n/, "").replaceAll("\n", ", ")
    if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'totals'").get() === undefined) return undefined
    const wrong = db.prepare(`SELECT name FROM (${countedTotals}) WHERE kept <> counted`).pluck().all()
    return wrong.length === 0 ? undefined : `not as many orders are ${wrong.join(", ")} as were counted`
  } catch (cause) {
    return messageOf(cause)
  } finally {
    db.close()
  }
}

/**
 * A backup copied over a database whose `-wal` stayed is a mixture of both, which SQLite opens without a word. Looking
 * at all of it takes seconds for each million orders, so it is done only where the files look like it.
 */
export const checkFiles = Effect.fnUntraced(function* (file: string) {
  const stats = yield* Effect.promise(() => Promise.all(["", "-wal", "-shm"].map((suffix) => statOf(file + suffix))))
  if (!stats[0]?.size && stats[1]?.size) return yield* orphaned(file)
  const why = suspicion(stats)
  if (why === undefined) return
  yield* Effect.logWarning(`Checking the whole of ${file}, because ${why}`)
  const fault = yield* Effect.sync(() => faultOf(file))
  if (fault !== undefined) return yield* damaged(file, `${fault}; ${why}`)
})
