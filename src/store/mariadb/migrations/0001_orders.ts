import * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * The tables, as SQLite has them after its own migrations 1 to 6, which say what the columns are for. What differs:
 *
 * - What makes a table is committed at once, so each statement of a migration can be run again after it was cut short.
 * - texts are compared byte by byte, blanks at the end too, whatever the server's collation.
 * - JSON is text, which nothing in the database reads; so `error_code` is a column that is written.
 * - `lane` and the columns `is_..` stand for the conditions of SQLite's partial indices: NULL where they do not hold, so that
 *   most changes leave those indices as they are.
 * - keys are given by the statements: `last_key` is the greatest one that was ever removed.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const options = sql.literal("ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin")

  yield* sql`
    CREATE TABLE IF NOT EXISTS orders (
      seq           bigint       PRIMARY KEY,
      order_id      varchar(64)  NOT NULL UNIQUE,
      status        varchar(16)  NOT NULL
        CHECK (status IN ('Pending', 'Processing', 'Completed', 'Failed', 'Cancelled')),
      user_id       varchar(64)  NOT NULL,
      item_ids      mediumtext   NOT NULL,
      total_amount  bigint       NOT NULL CHECK (total_amount BETWEEN 0 AND 999999999999999),
      currency      varchar(16),
      metadata      mediumtext,
      traceparent   varchar(255),
      run           int          NOT NULL DEFAULT 0,
      attempts      int          NOT NULL DEFAULT 0 CHECK (attempts >= 0),
      losses        int          NOT NULL DEFAULT 0 CHECK (losses >= 0),
      round         int          NOT NULL DEFAULT 1,
      accepted_at   bigint       NOT NULL,
      due_at        bigint       NOT NULL,
      wait          bigint       NOT NULL DEFAULT 0,
      started_at    bigint,
      finished_at   bigint,
      took          bigint,
      last_error    mediumtext,
      error_code    varchar(255),
      result        mediumtext,
      lane          tinyint      AS (CASE WHEN status = 'Pending' THEN losses >= 2 END) STORED,
      is_failed     tinyint      AS (CASE WHEN status = 'Failed' THEN 1 END) STORED,
      is_ended      tinyint      AS (CASE WHEN status IN ('Failed', 'Cancelled') THEN 1 END) STORED,
      is_prunable   tinyint      AS (CASE WHEN status IN ('Completed', 'Cancelled') THEN 1 END) STORED,
      INDEX orders_pending (lane, due_at, seq),
      INDEX orders_status (status, seq),
      INDEX orders_user (user_id, seq, status),
      INDEX orders_failed (is_failed, error_code, seq),
      INDEX orders_failed_at (is_failed, error_code, finished_at),
      INDEX orders_ended (is_ended, user_id, status, seq, error_code),
      INDEX orders_prunable (is_prunable, finished_at, seq)
    ) ${options}`

  yield* sql`
    CREATE TABLE IF NOT EXISTS pruned (
      order_id      varchar(64)  PRIMARY KEY,
      fingerprint   varchar(255) NOT NULL,
      status        varchar(16)  NOT NULL CHECK (status IN ('Completed', 'Cancelled')),
      finished_at   bigint       NOT NULL
    ) ${options}`

  yield* sql`
    CREATE TABLE IF NOT EXISTS changes (
      id            bigint       PRIMARY KEY,
      seq           bigint       NOT NULL,
      from_status   varchar(16),
      to_status     varchar(16)  NOT NULL,
      at            bigint       NOT NULL,
      run           int          NOT NULL,
      attempt       int          NOT NULL,
      reason        varchar(32)  NOT NULL,
      error         mediumtext,
      due_at        bigint,
      asked_by      varchar(255),
      INDEX changes_order (seq, id)
    ) ${options}`

  yield* sql`
    CREATE TABLE IF NOT EXISTS totals (
      id            int          PRIMARY KEY CHECK (id = 1),
      pending       bigint       NOT NULL DEFAULT 0 CHECK (pending >= 0),
      processing    bigint       NOT NULL DEFAULT 0 CHECK (processing >= 0),
      completed     bigint       NOT NULL DEFAULT 0 CHECK (completed >= 0),
      failed        bigint       NOT NULL DEFAULT 0 CHECK (failed >= 0),
      cancelled     bigint       NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
      processing_ms bigint       NOT NULL DEFAULT 0,
      failure_codes bigint       NOT NULL DEFAULT 0 CHECK (failure_codes >= 0),
      retention_at  bigint,
      last_change   bigint       NOT NULL DEFAULT 0,
      history_from  bigint       NOT NULL DEFAULT 1,
      last_key      bigint       NOT NULL DEFAULT 0
    ) ${options}`
  yield* sql`INSERT INTO totals (id) SELECT 1 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM totals)`

  yield* sql`
    CREATE TABLE IF NOT EXISTS probe (
      id            int          PRIMARY KEY CHECK (id = 1),
      filler        mediumblob   NOT NULL
    ) ${options}`
  yield* sql`INSERT INTO probe (id, filler) SELECT 1, '' FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM probe)`

  yield* sql`
    CREATE TABLE IF NOT EXISTS spans (
      block         bigint       PRIMARY KEY,
      earliest      bigint       NOT NULL,
      latest        bigint       NOT NULL
    ) ${options}`
  yield* sql`
    CREATE OR REPLACE TRIGGER orders_span AFTER INSERT ON orders FOR EACH ROW
    INSERT INTO spans (block, earliest, latest) VALUES (new.seq DIV 1024, new.accepted_at, new.accepted_at)
    ON DUPLICATE KEY UPDATE
      earliest = least(earliest, new.accepted_at), latest = greatest(latest, new.accepted_at)`
  yield* sql`
    CREATE OR REPLACE TRIGGER orders_removed AFTER DELETE ON orders FOR EACH ROW
    UPDATE totals SET last_key = old.seq WHERE last_key < old.seq`

  yield* sql`
    CREATE TABLE IF NOT EXISTS failures (
      error_code    varchar(255) PRIMARY KEY,
      count         bigint       NOT NULL CHECK (count >= 0)
    ) ${options}`
  yield* sql`
    CREATE OR REPLACE TRIGGER orders_failing AFTER UPDATE ON orders FOR EACH ROW
    BEGIN
      IF new.status = 'Failed' AND old.status <> 'Failed' AND new.error_code IS NOT NULL THEN
        INSERT INTO failures (error_code, count) VALUES (new.error_code, 1)
        ON DUPLICATE KEY UPDATE count = count + 1;
      ELSEIF old.status = 'Failed' AND new.status <> 'Failed' THEN
        UPDATE failures SET count = count - 1 WHERE error_code = old.error_code;
        DELETE FROM failures WHERE error_code = old.error_code AND count = 0;
      END IF;
    END`
  yield* sql`
    CREATE OR REPLACE TRIGGER failures_added AFTER INSERT ON failures FOR EACH ROW
    UPDATE totals SET failure_codes = failure_codes + 1`
  yield* sql`
    CREATE OR REPLACE TRIGGER failures_removed AFTER DELETE ON failures FOR EACH ROW
    UPDATE totals SET failure_codes = failure_codes - 1`
})
