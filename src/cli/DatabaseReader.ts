import * as Fs from "node:fs/promises"
import type Sqlite from "better-sqlite3"
import { Data, Effect } from "effect"
import { lockSuffix } from "../store/sqlite/LockFile.ts"
import { applicationId } from "../store/sqlite/SetUp.ts"
import { openDatabase } from "../store/sqlite/SqliteDriver.ts"
import { resultCode } from "../store/sqlite/SqliteErrors.ts"
import type { Row } from "./TableQueries.ts"

export class CannotRead extends Data.TaggedError("CannotRead")<{ readonly cause: unknown }> {}

/** Reads of one database, open for reading only. */
export class DatabaseReader {
  readonly db: Sqlite.Database
  constructor(file: string) {
    this.db = openDatabase(file, { readonly: true, fileMustExist: true, timeout: 5000 })
  }

  /** The one number that a query answers with. */
  number(query: string): number {
    return Number(this.db.prepare(query).pluck().get())
  }

  /** The rows that a query answers with. */
  readonly rows = (query: string) => this.read(() => this.db.prepare<[], Row>(query).all())

  /** A read of damaged pages may find out by failing. */
  readonly read = <A>(read: () => A) => Effect.try({ try: read, catch: (cause) => new CannotRead({ cause }) })
}

export const open = (file: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const reader = new DatabaseReader(file)
        try {
          const id = reader.number("PRAGMA application_id")
          const tables = reader.number("SELECT count(*) FROM sqlite_schema")
          return { reader, id, tables }
        } catch (cause) {
          reader.db.close()
          throw cause
        }
      },
      catch: (cause) => new CannotRead({ cause })
    }),
    ({ reader }) => Effect.sync(() => reader.db.close())
  )

/** Whether a service has the database: it holds the neighbour file locked for as long as it lives. */
export const isHeld = (file: string) =>
  Effect.sync(() => {
    try {
      const lock = openDatabase(file + lockSuffix, { readonly: true, fileMustExist: true, timeout: 0 })
      try {
        lock.prepare("SELECT count(*) FROM sqlite_schema").get()
        return false
      } finally {
        lock.close()
      }
    } catch (cause) {
      return resultCode(cause).startsWith("SQLITE_BUSY")
    }
  })

/** Whether the header of a file says that it is a database of this service. */
export const ownHeader = (file: string) =>
  Effect.promise(async () => {
    const handle = await Fs.open(file)
    try {
      const header = Buffer.alloc(72)
      await handle.read(header, 0, 72, 0)
      return header.readInt32BE(68) === applicationId
    } finally {
      await handle.close()
    }
  })

/** Whether a file that SQLite cannot read was a database of this service: its header says so, or the lock beside it. */
export const wasOurs = (file: string) =>
  Effect.flatMap(ownHeader(file), (isNamed) =>
    isNamed
      ? Effect.succeed(true)
      : Effect.promise(() =>
          Fs.access(file + lockSuffix).then(
            () => true,
            () => false
          )
        )
  )
