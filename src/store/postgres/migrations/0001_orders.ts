import * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * The tables, as SQLite has them after its own migrations 1 to 6, which say what the columns are for. What differs:
 *
 * - ids and codes are compared byte by byte, whatever the database's collation.
 * - JSON is text, which nothing in the database reads, for its own types change it or refuse it; so `error_code` is a
 *   column that is written.
 * - `orders_user` has the status of the orders, too.
 * - `spans` is kept right for all orders of a statement at once.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE orders (
      seq           bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
      order_id      text    COLLATE "C" NOT NULL UNIQUE,
      status        text    COLLATE "C" NOT NULL
        CHECK (status IN ('Pending', 'Processing', 'Completed', 'Failed', 'Cancelled')),
      user_id       text    COLLATE "C" NOT NULL,
      item_ids      text    NOT NULL,
      total_amount  bigint  NOT NULL CHECK (total_amount BETWEEN 0 AND 999999999999999),
      currency      text,
      metadata      text,
      traceparent   text,
      run           integer NOT NULL DEFAULT 0,
      attempts      integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
      losses        integer NOT NULL DEFAULT 0 CHECK (losses >= 0),
      round         integer NOT NULL DEFAULT 1,
      accepted_at   bigint  NOT NULL,
      due_at        bigint  NOT NULL,
      wait          bigint  NOT NULL DEFAULT 0,
      started_at    bigint,
      finished_at   bigint,
      took          bigint,
      last_error    text,
      error_code    text    COLLATE "C",
      result        text
    )
    WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)`
  yield* sql`CREATE INDEX orders_pending ON orders (due_at, seq) WHERE status = 'Pending' AND losses < 2`
  yield* sql`CREATE INDEX orders_suspect ON orders (due_at, seq) WHERE status = 'Pending' AND losses >= 2`
  yield* sql`CREATE INDEX orders_status ON orders (status, seq)`
  yield* sql`CREATE INDEX orders_user ON orders (user_id, seq) INCLUDE (status)`
  yield* sql`CREATE INDEX orders_failed ON orders (error_code, seq) WHERE status = 'Failed'`
  // Not in the order of codes that statements want, so that it is never sorted for those by key: a code may have millions.
  yield* sql`CREATE INDEX orders_failed_at ON orders (error_code NULLS FIRST, finished_at) WHERE status = 'Failed'`
  yield* sql`
    CREATE INDEX orders_ended ON orders (user_id, status, seq) INCLUDE (error_code)
    WHERE status = 'Failed' OR status = 'Cancelled'`
  yield* sql`CREATE INDEX orders_prunable ON orders (finished_at, seq) WHERE status IN ('Completed', 'Cancelled')`

  yield* sql`
    CREATE TABLE pruned (
      order_id      text    COLLATE "C" PRIMARY KEY,
      fingerprint   text    NOT NULL,
      status        text    NOT NULL CHECK (status IN ('Completed', 'Cancelled')),
      finished_at   bigint  NOT NULL
    )`

  yield* sql`
    CREATE TABLE changes (
      id            bigint  PRIMARY KEY,
      seq           bigint  NOT NULL,
      from_status   text,
      to_status     text    NOT NULL,
      at            bigint  NOT NULL,
      run           integer NOT NULL,
      attempt       integer NOT NULL,
      reason        text    NOT NULL,
      error         text,
      due_at        bigint,
      asked_by      text
    )`
  yield* sql`CREATE INDEX changes_order ON changes (seq, id)`

  // Updated with each commit: most of a page is left free for that, so that no index has to follow.
  yield* sql`
    CREATE TABLE totals (
      id            integer PRIMARY KEY CHECK (id = 1),
      pending       bigint  NOT NULL DEFAULT 0 CHECK (pending >= 0),
      processing    bigint  NOT NULL DEFAULT 0 CHECK (processing >= 0),
      completed     bigint  NOT NULL DEFAULT 0 CHECK (completed >= 0),
      failed        bigint  NOT NULL DEFAULT 0 CHECK (failed >= 0),
      cancelled     bigint  NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
      processing_ms bigint  NOT NULL DEFAULT 0,
      failure_codes bigint  NOT NULL DEFAULT 0 CHECK (failure_codes >= 0),
      retention_at  bigint,
      last_change   bigint  NOT NULL DEFAULT 0,
      history_from  bigint  NOT NULL DEFAULT 1
    )
    WITH (fillfactor = 10)`
  yield* sql`INSERT INTO totals (id) VALUES (1)`

  yield* sql`
    CREATE TABLE probe (
      id            integer PRIMARY KEY CHECK (id = 1),
      filler        bytea   NOT NULL
    )`
  yield* sql`INSERT INTO probe (id, filler) VALUES (1, '')`

  yield* sql`
    CREATE TABLE spans (
      block         bigint  PRIMARY KEY,
      earliest      bigint  NOT NULL,
      latest        bigint  NOT NULL
    )
    WITH (fillfactor = 50)`
  yield* sql`
    CREATE FUNCTION orders_span() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO spans (block, earliest, latest)
      SELECT seq / 1024, min(accepted_at), max(accepted_at) FROM added GROUP BY seq / 1024
      ON CONFLICT (block) DO UPDATE SET
        earliest = least(spans.earliest, excluded.earliest), latest = greatest(spans.latest, excluded.latest)
      WHERE excluded.earliest < spans.earliest OR excluded.latest > spans.latest;
      RETURN NULL;
    END $$`
  yield* sql`
    CREATE TRIGGER orders_span AFTER INSERT ON orders
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION orders_span()`

  // Without an index of counts, which would have to follow each of many failures in one transaction.
  yield* sql`
    CREATE TABLE failures (
      error_code    text    COLLATE "C" PRIMARY KEY,
      count         bigint  NOT NULL CHECK (count >= 0)
    )`
  yield* sql`
    CREATE FUNCTION orders_failing() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO failures (error_code, count) VALUES (new.error_code, 1)
      ON CONFLICT (error_code) DO UPDATE SET count = failures.count + 1;
      RETURN NULL;
    END $$`
  yield* sql`
    CREATE TRIGGER orders_failing AFTER UPDATE OF status ON orders FOR EACH ROW
    WHEN (new.status = 'Failed' AND old.status <> 'Failed' AND new.error_code IS NOT NULL)
    EXECUTE FUNCTION orders_failing()`
  yield* sql`
    CREATE FUNCTION orders_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      UPDATE failures SET count = count - 1 WHERE error_code = old.error_code;
      DELETE FROM failures WHERE error_code = old.error_code AND count = 0;
      RETURN NULL;
    END $$`
  yield* sql`
    CREATE TRIGGER orders_reopening AFTER UPDATE OF status ON orders FOR EACH ROW
    WHEN (old.status = 'Failed' AND new.status <> 'Failed')
    EXECUTE FUNCTION orders_reopening()`
  yield* sql`
    CREATE FUNCTION failures_counted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      UPDATE totals SET failure_codes = failure_codes + CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
      RETURN NULL;
    END $$`
  yield* sql`
    CREATE TRIGGER failures_counted AFTER INSERT OR DELETE ON failures FOR EACH ROW
    EXECUTE FUNCTION failures_counted()`
})
