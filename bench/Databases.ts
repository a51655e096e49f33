import * as Fs from "node:fs"
import * as Path from "node:path"
import { Effect, Layer } from "effect"
import { AppConfig } from "../src/AppConfig.ts"
import { SqlLive } from "../src/store/sqlite/Sqlite.ts"
import { loadDriver } from "../src/store/sqlite/SqliteDriver.ts"
import { makeFolder } from "./Folder.ts"

export const databaseName = "orders.db"

/** A folder with an empty database in it, made by the migrations of the service. */
export const emptyDatabase = async () => {
  const folder = makeFolder()
  const databaseFile = Path.join(folder, databaseName)
  await Effect.runPromise(
    Effect.scoped(Layer.build(SqlLive.pipe(Layer.provide(AppConfig.layerTest({ databaseFile })))))
  )
  return folder
}

/**
 * Adds orders by SQL, as the service would have left them: Pending, or all but every hundredth Completed and that one
 * Failed. Accepted a millisecond apart, up to now; their ids are 1 and on.
 */
export const fill = (folder: string, count: number, isPending: boolean) => {
  const Database = loadDriver()
  const db = new Database(Path.join(folder, databaseName))
  db.pragma("journal_mode = MEMORY")
  db.pragma("synchronous = OFF")
  db.pragma("cache_size = -1000000")
  const begin = Date.now() - count
  const [status, error, finished] = isPending
    ? ["'Pending'", "NULL", "NULL"]
    : [
        "CASE WHEN n % 100 = 0 THEN 'Failed' ELSE 'Completed' END",
        `CASE WHEN n % 100 = 0 THEN json_object('code', 'declined', 'message', 'The card was declined', 'attempt', 1, 'at', '2026-01-31T12:00:00.000Z') END`,
        `${begin} + n`
      ]
  const ran = isPending ? 0 : 1
  db.exec(`
    BEGIN;
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
    INSERT INTO orders (
      order_id, status, user_id, item_ids, total_amount, run, attempts, accepted_at, due_at, started_at, finished_at,
      last_error
    )
    SELECT
      n, ${status}, 1 + n % 1000, '["1","2","3"]', 2507000, ${ran}, ${ran}, ${begin} + n, ${begin} + n, ${finished},
      ${finished}, ${error}
    FROM numbers;
    UPDATE totals SET
      pending = (SELECT count(*) FROM orders WHERE status = 'Pending'),
      completed = (SELECT count(*) FROM orders WHERE status = 'Completed'),
      failed = (SELECT count(*) FROM orders WHERE status = 'Failed');
    INSERT INTO failures (error_code, count)
    SELECT error_code, count(*) FROM orders WHERE status = 'Failed' GROUP BY error_code;
    COMMIT`)
  db.pragma("journal_mode = WAL")
  db.close()
}

/** The same database in a folder of its own. */
export const copyOf = (folder: string) => {
  const copy = makeFolder()
  Fs.copyFileSync(Path.join(folder, databaseName), Path.join(copy, databaseName))
  return copy
}
