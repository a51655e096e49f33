import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { Effect } from "effect"
import { makeFile } from "../store/sqlite/FileAccess.ts"
import { copyMark } from "../store/sqlite/HistoryStart.ts"
import { removeDatabase, sync } from "../store/sqlite/RestoreSwitch.ts"
import { openDatabase } from "../store/sqlite/SqliteDriver.ts"
import { messageOf, resultCode } from "../store/sqlite/SqliteErrors.ts"
import type { Check } from "./Check.ts"
import { examine, megabytes } from "./Checkup.ts"
import { Failure, failed } from "./Failure.ts"

const pagesAtOnce = 2000

const remove = (file: string) => Effect.promise(() => removeDatabase(file))

/**
 * One moment of a database as one file without a `-wal`, synced. A read transaction holds the moment: it never makes the
 * service wait, and the `-wal` grows by what is written meanwhile and no more. It is marked as a copy, for the service that
 * will go on from it.
 */
const copy = async (from: string, to: string, signal: AbortSignal) => {
  const source = openDatabase(from, { readonly: true, fileMustExist: true, timeout: 5000 })
  try {
    source.exec("BEGIN")
    source.prepare("SELECT count(*) FROM sqlite_schema").get()
    await makeFile(to)
    await source.backup(to, {
      progress: () => {
        signal.throwIfAborted()
        return pagesAtOnce
      }
    })
  } finally {
    source.close()
  }
  const target = openDatabase(to, { timeout: 0 })
  try {
    target.pragma("journal_mode = DELETE")
    target.pragma(`user_version = ${copyMark}`)
  } finally {
    target.close()
  }
  await sync(to)
}

/** What is wrong with a copy that cannot be made, in one line. */
const whyNotCopied = async (cause: unknown, from: string, to: string) => {
  const message = messageOf(cause)
  const code = resultCode(cause)
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return `${from} is damaged, or no database: ${message}.`
  if (!/^(SQLITE_FULL|ENOSPC)$/.test(code)) return `${from} cannot be copied to ${to}: ${message}.`
  const [{ size }, { bavail, bsize }] = await Promise.all([Fs.stat(from), Fs.statfs(Path.dirname(to))])
  return `No room in ${Path.dirname(to)}: the copy needs ${megabytes(size)}, and ${megabytes(bavail * bsize)} are free.`
}

/** Without these it cannot be used. What else the doctor finds is in the copied database as well. */
const vital = new Set(["integrity", "migrations", "schema"])

const isUnusable = ({ name, state }: Check) => state === "error" && vital.has(name)

/**
 * Makes a copy under a name for the time being, has it checked as the doctor does, and hands both to `use`, which gives
 * the copy its name. Whatever goes wrong, and when it is interrupted, nothing of it is left.
 */
export const withCopy = <A, E, R>(
  from: string,
  to: string,
  use: (checks: ReadonlyArray<Check>) => Effect.Effect<A, E, R>
) =>
  remove(to).pipe(
    Effect.zipRight(Effect.tryPromise({ try: (signal) => copy(from, to, signal), catch: (cause) => cause })),
    Effect.catchAll((cause) =>
      Effect.flatMap(
        Effect.promise(() => whyNotCopied(cause, from, to)),
        failed
      )
    ),
    Effect.zipRight(examine(to)),
    Effect.mapError(({ lines }) => new Failure({ lines: lines.map((line) => line.replaceAll(to, from)), exitCode: 1 })),
    Effect.filterOrElse(
      (checks) => !checks.some(isUnusable),
      (checks) =>
        failed(
          `${from} is damaged, so it is not copied. What the doctor finds:`,
          ...checks.filter(isUnusable).map(({ found, name }) => `  ${name}: ${found}`)
        )
    ),
    // What concerns the disk, or a service that does not run, says nothing of the copy.
    Effect.map((checks) => checks.filter(({ state }) => state === "error")),
    Effect.flatMap(use),
    Effect.ensuring(remove(to))
  )

/** How many orders there are, and of which size the file is, for people. */
export const sizeOf = Effect.fnUntraced(function* (file: string) {
  const { size } = yield* Effect.promise(() => Fs.stat(file))
  const orders = yield* Effect.sync(() => {
    const db = openDatabase(file, { readonly: true })
    try {
      return Number(db.prepare("SELECT count(*) FROM orders").pluck().get())
    } finally {
      db.close()
    }
  })
  return { orders, bytes: size, text: `${orders === 1 ? "1 order" : `${orders} orders`}, ${megabytes(size)}` }
})
