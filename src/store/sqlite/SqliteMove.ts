import * as Fs from "node:fs/promises"
import * as Reactivity from "@effect/experimental/Reactivity"
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqliteClient } from "@effect/sql-sqlite-node/SqliteClient"
import { DateTime, Effect, Exit, Scope } from "effect"
import { checkEmpty } from "../move/EmptyTarget.ts"
import type { MoveSide, MoveTarget } from "../move/MoveSide.ts"
import { checkFiles } from "./DatabaseCheck.ts"
import { makeFile } from "./FileAccess.ts"
import { putInPlace } from "./PutInPlace.ts"
import { finishRestore, removeDatabase, stampOf, statOf, sync, waitingStamp } from "./RestoreSwitch.ts"
import { checkCurrent, setUp } from "./SetUp.ts"
import { lockDatabase } from "./Sqlite.ts"
import * as Sqlite from "./SqliteClient.ts"
import { sqliteDialect } from "./SqliteDialect.ts"
import { orRefuse, refuse } from "./StartRefusal.ts"

const nextKey = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<{ next: number }>`
      SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'orders'), 0) + 1 AS next`,
    ([row]) => row?.next ?? 1
  )

const sideOf = (file: string, sql: SqliteClient) => ({
  shown: file,
  sql,
  rows: sqliteDialect(sql).rows,
  nextKey: nextKey(sql)
})

/** Refuses what SQLite would call damaged, though it never was a database. */
const checkHeader = Effect.fnUntraced(function* (file: string) {
  const isDatabase = yield* Effect.promise(async () => {
    const handle = await Fs.open(file)
    try {
      const { buffer } = await handle.read(Buffer.alloc(16), 0, 16, 0)
      return buffer.toString("latin1") === "SQLite format 3\0"
    } finally {
      await handle.close()
    }
  })
  if (!isDatabase) return yield* refuse(file, "not a SQLite database")
})

/** A database file to move from, by the path that links lead to. Nothing is written to it. */
export const openSource = (file: string) =>
  Effect.gen(function* () {
    yield* lockDatabase(file)
    if (yield* Effect.promise(() => waitingStamp(file))) {
      return yield* refuse(file, "a restore of it was interrupted", "start the service on it once")
    }
    yield* checkHeader(file)
    yield* checkFiles(file)
    const sql = yield* Sqlite.make(file, { readonly: true })
    yield* checkCurrent(sql)
    yield* sql`BEGIN`
    return sideOf(file, sql) satisfies MoveSide
  }).pipe(orRefuse(file), Effect.provide(Reactivity.layer))

/** What is there may be replaced only if it has nothing in it. */
const checkPlace = Effect.fnUntraced(function* (file: string) {
  const isThere = (yield* Effect.promise(() => statOf(file)))?.size
  if (isThere) yield* checkHeader(file)
  yield* checkFiles(file)
  if (!isThere) return
  const sql = yield* Sqlite.make(file, { readonly: true })
  yield* checkCurrent(sql)
  yield* checkEmpty(sql, (why, what) => refuse(file, why, what))
}, Effect.scoped)

/** Fast, and of no use should it be cut off: then the file is never given its name. */
const unsafely = ["journal_mode = MEMORY", "synchronous = OFF", "cache_size = -65536"]

/**
 * A database file to move into, by the path that links lead to; it is written under another name until all of it is there.
 * A former one without orders is set aside.
 */
export const openTarget = (file: string) =>
  Effect.gen(function* () {
    yield* lockDatabase(file)
    // What an interrupted restore was about to put there.
    yield* Effect.promise(() => finishRestore(file))
    yield* checkPlace(file)
    const unfinished = `${file}.unfinished`
    yield* Effect.acquireRelease(
      Effect.promise(() => removeDatabase(unfinished).then(() => makeFile(unfinished))),
      () => Effect.promise(() => removeDatabase(unfinished))
    )
    const open = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const sql = yield* Scope.extend(Sqlite.make(unfinished), open)
    yield* setUp(sql, true)
    for (const setting of unsafely) yield* sql.unsafe(`PRAGMA ${setting}`)
    yield* sql`BEGIN`
    return {
      ...sideOf(file, sql),
      generated: ["orders.error_code"],
      keepingKeys: "",
      begin: (next) =>
        next === 1
          ? Effect.void
          : Effect.asVoid(
              sql`INSERT INTO sqlite_sequence (name, seq) VALUES ('orders', ${sql.literal(String(next - 1))})`
            ),
      end: Effect.asVoid(sql`COMMIT`),
      commit: Effect.gen(function* () {
        yield* Scope.close(open, Exit.void)
        const stamp = stampOf(yield* DateTime.now)
        yield* Effect.promise(async () => {
          await sync(unfinished)
          await putInPlace(file, unfinished, stamp)
        })
      }).pipe(Effect.uninterruptible, orRefuse(file))
    } satisfies MoveTarget
  }).pipe(orRefuse(file), Effect.provide(Reactivity.layer))
