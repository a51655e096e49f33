import type { SqliteClient } from "@effect/sql-sqlite-node/SqliteClient"
import { Clock, Effect } from "effect"

/** Marks a copy of a database, in the field of the header that SQLite leaves to applications (`user_version`). */
export const copyMark = 1

/**
 * By how much the ids of a copy go on at least. The microseconds since 1970, up to a number that leaves room for ids that
 * are safe integers, are ahead of all ids of an earlier life, also when one copy is put in place again and again.
 */
const [leap, mostMicros] = [1_000_000_000, 2 ** 52]

/**
 * The changes that were made after a copy are lost with the database whose place it takes, but readers of the feed know
 * them: new ones get ids that none has had, and a reader with an older id is sent to them. What is kept can be read.
 */
const goOnFromCopy = Effect.fnUntraced(function* (sql: SqliteClient) {
  const micros = Math.min((yield* Clock.currentTimeMillis) * 1000, mostMicros)
  const [moved] = yield* sql<{ last: number }>`
    UPDATE totals
    SET
      last_change = max(last_change + ${leap}, ${micros}),
      history_from = max(last_change + ${leap}, ${micros}) + 1
    RETURNING last_change AS last`
  // Last, for a start that ends between the two does no harm: ids leap again.
  yield* sql`PRAGMA user_version = 0`
  yield* Effect.logInfo(
    `This database is a copy that was put in place: ids of changes go on behind ${moved?.last}, and readers of the feed ` +
      "are sent there"
  )
})

/** With none kept from now on, the last change of an order would soon contradict it. */
const removeChanges = Effect.fnUntraced(function* (sql: SqliteClient) {
  yield* sql`UPDATE totals SET history_from = last_change + 1 WHERE history_from <= last_change`
  const some = yield* sql`SELECT id FROM changes LIMIT 1`
  if (some.length === 0) return
  // Without a WHERE, and so page by page: seconds for ten millions of them.
  yield* sql`DELETE FROM changes`
  yield* Effect.logInfo("Removed the history, as HISTORY is off")
})

/** Where the history begins at this start. */
export const startHistory = Effect.fnUntraced(function* (sql: SqliteClient, isKept: boolean) {
  const [header] = yield* sql<{ user_version: number }>`PRAGMA user_version`
  if (header?.user_version === copyMark) yield* goOnFromCopy(sql)
  if (!isKept) yield* removeChanges(sql)
})
