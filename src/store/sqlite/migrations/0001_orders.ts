import * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * - `seq` is the row's key and the order of arrival; never used twice.
 * - `run` is the number of the latest claim, never reused; `attempts` counts the runs that count.
 * - `due_at` is when the order may be worked: its acceptance, or its next attempt.
 * - `losses` counts the runs that were lost with the process; from two on the order is a suspect and worked alone.
 * - `pruned` is what remains of orders past their retention.
 * - `totals` has one row: all-time counts by status, and the summed processing time of Completed orders.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE orders (
      seq           INTEGER PRIMARY KEY AUTOINCREMENT,
      order_id      TEXT    NOT NULL UNIQUE,
      status        TEXT    NOT NULL CHECK (status IN ('Pending', 'Processing', 'Completed', 'Failed', 'Cancelled')),
      user_id       TEXT    NOT NULL,
      item_ids      TEXT    NOT NULL CHECK (json_valid(item_ids)),
      total_amount  INTEGER NOT NULL CHECK (total_amount BETWEEN 0 AND 999999999999999),
      currency      TEXT,
      metadata      TEXT    CHECK (metadata IS NULL OR json_valid(metadata)),
      run           INTEGER NOT NULL DEFAULT 0,
      attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
      losses        INTEGER NOT NULL DEFAULT 0 CHECK (losses >= 0),
      accepted_at   INTEGER NOT NULL,
      due_at        INTEGER NOT NULL,
      started_at    INTEGER,
      finished_at   INTEGER,
      last_error    TEXT    CHECK (last_error IS NULL OR json_valid(last_error)),
      error_code    TEXT    GENERATED ALWAYS AS (last_error ->> 'code') VIRTUAL,
      result        TEXT    CHECK (result IS NULL OR json_valid(result))
    ) STRICT
  `
  yield* sql`CREATE INDEX orders_pending ON orders (due_at, seq, losses) WHERE status = 'Pending' AND losses < 2`
  yield* sql`CREATE INDEX orders_suspect ON orders (due_at, seq, losses) WHERE status = 'Pending' AND losses >= 2`
  yield* sql`CREATE INDEX orders_status ON orders (status, seq)`
  yield* sql`CREATE INDEX orders_user ON orders (user_id, seq)`
  yield* sql`CREATE INDEX orders_failed ON orders (error_code, seq, finished_at) WHERE status = 'Failed'`

  yield* sql`
    CREATE TABLE pruned (
      order_id      TEXT    PRIMARY KEY,
      fingerprint   TEXT    NOT NULL,
      status        TEXT    NOT NULL CHECK (status IN ('Completed', 'Cancelled')),
      finished_at   INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
  `

  yield* sql`
    CREATE TABLE totals (
      id            INTEGER PRIMARY KEY CHECK (id = 1),
      pending       INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
      processing    INTEGER NOT NULL DEFAULT 0 CHECK (processing >= 0),
      completed     INTEGER NOT NULL DEFAULT 0 CHECK (completed >= 0),
      failed        INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
      cancelled     INTEGER NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
      processing_ms INTEGER NOT NULL DEFAULT 0
    ) STRICT
  `
  yield* sql`INSERT INTO totals (id) VALUES (1)`
})
