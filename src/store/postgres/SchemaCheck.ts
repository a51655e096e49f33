import type * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { refuseDifferences, schemaDifferences, schemaList } from "../server/SchemaList.ts"

const columns = {
  orders:
    "seq bigint, order_id text, status text, user_id text, item_ids text, total_amount bigint, currency text, " +
    "metadata text, traceparent text, run integer, attempts integer, losses integer, round integer, " +
    "accepted_at bigint, due_at bigint, wait bigint, started_at bigint, finished_at bigint, took bigint, " +
    "last_error text, error_code text, result text",
  pruned: "order_id text, fingerprint text, status text, finished_at bigint",
  changes:
    "id bigint, seq bigint, from_status text, to_status text, at bigint, run integer, attempt integer, reason text, " +
    "error text, due_at bigint, asked_by text",
  totals:
    "id integer, pending bigint, processing bigint, completed bigint, failed bigint, cancelled bigint, " +
    "processing_ms bigint, failure_codes bigint, retention_at bigint, last_change bigint, history_from bigint",
  probe: "id integer, filler bytea",
  spans: "block bigint, earliest bigint, latest bigint",
  failures: "error_code text, count bigint",
  nodes: "name text, role text, version text, since bigint, heard_at bigint, figures text"
}

const indices =
  "orders_pkey, orders_order_id_key, orders_pending, orders_suspect, orders_status, orders_user, orders_failed, " +
  "orders_failed_at, orders_ended, orders_prunable, pruned_pkey, changes_pkey, changes_order, totals_pkey, probe_pkey, " +
  "spans_pkey, failures_pkey, nodes_pkey"

const constraints =
  "orders_status_check, orders_total_amount_check, orders_attempts_check, orders_losses_check, pruned_status_check, " +
  "totals_id_check, totals_pending_check, totals_processing_check, totals_completed_check, totals_failed_check, " +
  "totals_cancelled_check, totals_failure_codes_check, probe_id_check, failures_count_check"

const triggers = [
  "orders_span on orders calling orders_span",
  "orders_failing on orders calling orders_failing",
  "orders_reopening on orders calling orders_reopening",
  "failures_counted on failures calling failures_counted"
]

/** The names of our tables. */
export const tables = Object.keys(columns)

/**
 * What a schema must have, as {@link present} lists it. Names and types stand for the rest: the server's own words for a
 * definition are not the same in all its versions.
 */
export const expected = schemaList({ columns, indices, constraints, triggers })

/**
 * What there is of our tables, and on them. An index that somebody made to look something up is left out, unless it is
 * unique or of an expression, which makes writes fail.
 */
export const present = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<{ what: string }>`
      WITH ours AS (
        SELECT oid, relname, relrowsecurity, relkind, relpersistence FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relname IN ${sql.in(tables)}
      )
      SELECT
        CASE WHEN relkind <> 'r' THEN 'no plain ' WHEN relpersistence <> 'p' THEN 'unlogged ' ELSE '' END
          || 'table ' || relname AS what
      FROM ours
      UNION ALL
      SELECT 'row security on ' || relname FROM ours WHERE relrowsecurity
      UNION ALL
      SELECT 'column ' || relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
      FROM ours JOIN pg_attribute ON attrelid = ours.oid
      WHERE attnum > 0 AND NOT attisdropped
      UNION ALL
      SELECT CASE WHEN indisvalid THEN 'index ' ELSE 'invalid index ' END || of_index.relname
      FROM ours JOIN pg_index ON indrelid = ours.oid JOIN pg_class AS of_index ON of_index.oid = indexrelid
      WHERE of_index.relname IN ${sql.in(indices.split(", "))} OR indisunique OR indexprs IS NOT NULL OR indpred IS NOT NULL
      UNION ALL
      SELECT 'constraint ' || conname FROM ours JOIN pg_constraint ON conrelid = ours.oid WHERE contype IN ('c', 'f', 'x')
      UNION ALL
      SELECT
        CASE tgenabled WHEN 'O' THEN '' WHEN 'D' THEN 'disabled ' ELSE 'replica ' END
          || 'trigger ' || tgname || ' on ' || relname || ' calling ' || proname
      FROM ours JOIN pg_trigger ON tgrelid = ours.oid JOIN pg_proc ON pg_proc.oid = tgfoid
      WHERE NOT tgisinternal
      UNION ALL
      SELECT 'rule ' || rulename || ' on ' || relname FROM ours JOIN pg_rewrite ON ev_class = ours.oid
      UNION ALL
      SELECT 'child of ' || relname FROM ours JOIN pg_inherits ON inhparent = ours.oid`,
    (rows) => rows.map(({ what }) => what)
  )

/** How a schema differs from ours. */
export const compareSchema = (is: ReadonlyArray<string>) => schemaDifferences(is, expected)

/** Refuses a schema that differs from ours. */
export const checkSchema = (sql: SqlClient.SqlClient, shown: string) =>
  Effect.flatMap(present(sql), (is) => refuseDifferences(shown, compareSchema(is)))
