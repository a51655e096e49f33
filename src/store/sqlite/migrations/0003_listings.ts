import * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"

/** How many rows one statement reads, so that what it sorts fits into memory. */
const batch = 1024 * 1024

/**
 * What listings, retries and failures find their orders by, kept right by triggers:
 *
 * - `spans` has the earliest and the latest acceptance of each block of 1,024 keys. Times need not ascend with keys.
 * - `failures` counts the Failed orders of each error code, and `totals.failure_codes` its rows.
 * - `orders_ended` is for the orders of a user that failed or were cancelled, which may be few among many.
 * - `orders_failed_at` has the first and the last failure of an error code.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [range] = yield* sql<{ first: number; last: number }>`
    SELECT COALESCE((SELECT min(seq) FROM orders), 0) AS first, COALESCE((SELECT max(seq) FROM orders), -1) AS last`
  const { first, last } = range ?? { first: 0, last: -1 }
  if (last - first >= batch) {
    yield* Effect.logInfo("The database is brought up to date, which takes about a minute for ten million orders")
  }

  yield* sql`
    CREATE TABLE spans (
      block         INTEGER PRIMARY KEY,
      earliest      INTEGER NOT NULL,
      latest        INTEGER NOT NULL
    ) STRICT
  `
  for (let low = first - (first % batch); low <= last; low += batch) {
    yield* sql`
      INSERT INTO spans (block, earliest, latest)
      SELECT seq / 1024, min(accepted_at), max(accepted_at) FROM orders
      WHERE seq >= ${low} AND seq < ${low + batch}
      GROUP BY seq / 1024`
  }
  yield* sql`
    CREATE TRIGGER orders_span AFTER INSERT ON orders BEGIN
      INSERT INTO spans (block, earliest, latest) VALUES (new.seq / 1024, new.accepted_at, new.accepted_at)
      ON CONFLICT (block) DO UPDATE SET
        earliest = min(earliest, excluded.earliest), latest = max(latest, excluded.latest)
      WHERE excluded.earliest < earliest OR excluded.latest > latest;
    END`

  yield* sql`
    CREATE TABLE failures (
      error_code    TEXT    PRIMARY KEY,
      count         INTEGER NOT NULL CHECK (count >= 0)
    ) STRICT, WITHOUT ROWID
  `
  yield* sql`
    INSERT INTO failures (error_code, count)
    SELECT error_code, count(*) FROM orders INDEXED BY orders_failed
    WHERE status = 'Failed' AND error_code IS NOT NULL
    GROUP BY error_code`
  yield* sql`CREATE INDEX failures_count ON failures (count DESC, error_code)`
  yield* sql`ALTER TABLE totals ADD COLUMN failure_codes INTEGER NOT NULL DEFAULT 0 CHECK (failure_codes >= 0)`
  yield* sql`UPDATE totals SET failure_codes = (SELECT count(*) FROM failures)`
  yield* sql`
    CREATE TRIGGER orders_failing AFTER UPDATE OF status ON orders
    WHEN new.status = 'Failed' AND old.status <> 'Failed' AND new.error_code IS NOT NULL BEGIN
      INSERT INTO failures (error_code, count) VALUES (new.error_code, 1)
      ON CONFLICT (error_code) DO UPDATE SET count = count + 1;
    END`
  yield* sql`
    CREATE TRIGGER orders_reopening AFTER UPDATE OF status ON orders
    WHEN old.status = 'Failed' AND new.status <> 'Failed' BEGIN
      UPDATE failures SET count = count - 1 WHERE error_code = old.error_code;
      DELETE FROM failures WHERE error_code = old.error_code AND count = 0;
    END`
  yield* sql`
    CREATE TRIGGER failures_more AFTER INSERT ON failures BEGIN
      UPDATE totals SET failure_codes = failure_codes + 1;
    END`
  yield* sql`
    CREATE TRIGGER failures_fewer AFTER DELETE ON failures BEGIN
      UPDATE totals SET failure_codes = failure_codes - 1;
    END`

  yield* sql`
    CREATE INDEX orders_ended ON orders (user_id, status, seq, error_code)
    WHERE status = 'Failed' OR status = 'Cancelled'`
  yield* sql`CREATE INDEX orders_failed_at ON orders (error_code, finished_at) WHERE status = 'Failed'`
})
