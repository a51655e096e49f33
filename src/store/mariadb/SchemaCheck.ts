import type * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { refuseDifferences, schemaDifferences, schemaList } from "../server/SchemaList.ts"

const columns = {
  orders:
    "seq bigint, order_id varchar(64), status varchar(16), user_id varchar(64), item_ids mediumtext, " +
    "total_amount bigint, currency varchar(16), metadata mediumtext, traceparent varchar(255), run int, attempts int, " +
    "losses int, round int, accepted_at bigint, due_at bigint, wait bigint, started_at bigint, finished_at bigint, " +
    "took bigint, last_error mediumtext, error_code varchar(255), result mediumtext, lane tinyint, is_failed tinyint, " +
    "is_ended tinyint, is_prunable tinyint",
  pruned: "order_id varchar(64), fingerprint varchar(255), status varchar(16), finished_at bigint",
  changes:
    "id bigint, seq bigint, from_status varchar(16), to_status varchar(16), at bigint, run int, attempt int, " +
    "reason varchar(32), error mediumtext, due_at bigint, asked_by varchar(255)",
  totals:
    "id int, pending bigint, processing bigint, completed bigint, failed bigint, cancelled bigint, " +
    "processing_ms bigint, failure_codes bigint, retention_at bigint, last_change bigint, history_from bigint, " +
    "last_key bigint",
  probe: "id int, filler mediumblob",
  spans: "block bigint, earliest bigint, latest bigint",
  failures: "error_code varchar(255), count bigint"
}

const indices =
  "orders.PRIMARY, orders.order_id, orders.orders_pending, orders.orders_status, orders.orders_user, " +
  "orders.orders_failed, orders.orders_failed_at, orders.orders_ended, orders.orders_prunable, pruned.PRIMARY, " +
  "changes.PRIMARY, changes.changes_order, totals.PRIMARY, probe.PRIMARY, spans.PRIMARY, failures.PRIMARY"

/** The server names a column's constraint as the column. */
const constraints =
  "orders.status, orders.total_amount, orders.attempts, orders.losses, pruned.status, totals.id, totals.pending, " +
  "totals.processing, totals.completed, totals.failed, totals.cancelled, totals.failure_codes, probe.id, failures.count"

const triggers = [
  "orders_span after insert on orders",
  "orders_removed after delete on orders",
  "orders_failing after update on orders",
  "failures_added after insert on failures",
  "failures_removed after delete on failures"
]

/** The names of our tables. */
export const tables = Object.keys(columns)

/**
 * What a database must have, as {@link present} lists it. Names and types stand for the rest: the server's own words for a
 * definition are not the same in all its versions.
 */
export const expected = schemaList({ columns, indices, constraints, triggers })

/**
 * What there is of our tables, and on them. An index that somebody made to look something up is left out, unless it is
 * unique, which makes writes fail.
 */
export const present = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql<{ what: string }>`
      SELECT
        concat(
          CASE WHEN table_type <> 'BASE TABLE' THEN 'no plain ' WHEN engine <> 'InnoDB' THEN concat(engine, ' ') ELSE '' END,
          'table ', table_name
        ) AS what
      FROM information_schema.tables
      WHERE table_schema = DATABASE() AND table_name IN ${sql.in(tables)}
      UNION ALL
      SELECT
        concat(
          'column ', table_name, '.', column_name, ' ', regexp_replace(column_type, '^([a-z]*int)[(][0-9]+[)]', '\\1'),
          CASE WHEN collation_name <> 'utf8mb4_nopad_bin' THEN concat(' by ', collation_name) ELSE '' END
        )
      FROM information_schema.columns
      WHERE table_schema = DATABASE() AND table_name IN ${sql.in(tables)}
      UNION ALL
      SELECT DISTINCT concat('index ', table_name, '.', index_name)
      FROM information_schema.statistics
      WHERE
        table_schema = DATABASE() AND table_name IN ${sql.in(tables)}
        AND (non_unique = 0 OR concat(table_name, '.', index_name) IN ${sql.in(indices.split(", "))})
      UNION ALL
      SELECT concat('constraint ', table_name, '.', constraint_name)
      FROM information_schema.check_constraints
      WHERE constraint_schema = DATABASE() AND table_name IN ${sql.in(tables)}
      UNION ALL
      SELECT concat('foreign key ', table_name, '.', constraint_name)
      FROM information_schema.referential_constraints
      WHERE
        constraint_schema = DATABASE()
        AND (table_name IN ${sql.in(tables)} OR referenced_table_name IN ${sql.in(tables)})
      UNION ALL
      SELECT
        concat('trigger ', trigger_name, ' ', lower(action_timing), ' ', lower(event_manipulation), ' on ', event_object_table)
      FROM information_schema.triggers
      WHERE event_object_schema = DATABASE() AND event_object_table IN ${sql.in(tables)}`,
    (rows) => rows.map(({ what }) => what)
  )

/** How a schema differs from ours. */
export const compareSchema = (is: ReadonlyArray<string>) => schemaDifferences(is, expected)

/** Refuses a schema that differs from ours. */
export const checkSchema = (sql: SqlClient.SqlClient, shown: string) =>
  Effect.flatMap(present(sql), (is) => refuseDifferences(shown, compareSchema(is)))
