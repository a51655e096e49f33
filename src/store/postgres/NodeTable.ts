import { Effect, Predicate, Schema } from "effect"
import type { NodeTable } from "../Statements.ts"
import { isOf } from "../sql/PartialIndexes.ts"
import { type ClientConfig, connectionOfPool, makePool } from "./PostgresDriver.ts"
import { serverMillis } from "./ServerClock.ts"
import { tryTrimLock } from "./SessionLock.ts"

/** For how long a statement waits for its answer, in milliseconds. */
const answerMillis = 5000

/**
 * What is lost in a crash of the server is written again a second later: no disk is waited for. And no table is read from end
 * to end for want of counts of its rows.
 */
const prepare = `
  SELECT
    set_config('synchronous_commit', 'off', false), set_config('jit', 'off', false),
    set_config('enable_seqscan', 'off', false)`

/** After a silence of so many milliseconds a row is removed. */
const forgotten = 3_600_000
/** So that a node which is started again and again does not fill a page. */
const most = 100

/** Rows that another node removes, too, are left to it. No row is written by two nodes, so that none waits for another. */
const report = `
  WITH
    asked AS MATERIALIZED (SELECT ${serverMillis} AS at),
    reported AS (
      INSERT INTO nodes (name, role, version, since, heard_at, figures)
      SELECT $1, $2, $3, at - $4::bigint, at, $5 FROM asked
      ON CONFLICT (name) DO UPDATE SET heard_at = excluded.heard_at, figures = excluded.figures
      RETURNING name, role, version, since, heard_at, figures
    ),
    gone AS (
      DELETE FROM nodes WHERE name IN (
        SELECT name FROM nodes
        WHERE heard_at < (SELECT at FROM asked) - ${forgotten} AND name <> $1
        FOR UPDATE SKIP LOCKED
      )
    )
  SELECT name, role, version, since, heard_at, figures, GREATEST(0, at - heard_at) AS silent
  FROM (
    SELECT * FROM reported
    UNION ALL
    SELECT name, role, version, since, heard_at, figures FROM nodes, asked
    WHERE name <> $1 AND heard_at >= at - ${forgotten}
  ) AS known, asked
  ORDER BY heard_at DESC
  LIMIT ${most}`

const decode = Schema.decodeUnknown(
  Schema.Array(
    Schema.Struct({
      name: Schema.String,
      role: Schema.String,
      version: Schema.String,
      since: Schema.Int,
      heard_at: Schema.Int,
      figures: Schema.String,
      silent: Schema.Int
    })
  )
)

/** By `orders_pending`, in no order: what is not counted is not read. */
const due = `
  SELECT count(*)::int AS due
  FROM (
    SELECT 1 FROM orders WHERE ${isOf.orders_pending} AND due_at <= ${serverMillis} LIMIT $1
  ) AS waiting`

const decodeDue = Schema.decodeUnknown(Schema.Tuple(Schema.Struct({ due: Schema.Int })))

/** How many of the last changes stay for other nodes, and how many are removed at once. */
const [lastChanges, piece] = [100_000, 1000]

/**
 * By one node at a time, so that the oldest go first. What retention is removing is left to it. As long as another node has
 * a setting of its own, what that keeps for readers stays.
 */
const trim = `
  WITH
    asked AS MATERIALIZED (SELECT ${tryTrimLock} AS is_alone),
    old AS MATERIALIZED (
      SELECT id FROM changes
      WHERE
        (SELECT is_alone FROM asked) AND id > $1
        AND id <= (SELECT LEAST(last_change - ${lastChanges}, history_from - 1) FROM totals)
      ORDER BY id
      LIMIT ${piece}
      FOR UPDATE SKIP LOCKED
    ),
    removed AS (DELETE FROM changes WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING id)
  SELECT max(id) AS last FROM removed`

const decodeTrimmed = Schema.decodeUnknown(Schema.Tuple(Schema.Struct({ last: Schema.OptionFromNullOr(Schema.Int) })))

const decodeLast = (rows: ReadonlyArray<unknown>) => {
  const [row] = rows
  return Predicate.hasProperty(row, "last") && Predicate.isNumber(row.last)
    ? Effect.succeed(row.last)
    : Effect.dieMessage("The table `totals` has lost its row")
}

/**
 * What nodes keep for each other, on a connection of its own: it waits for no transaction that changes orders, and delays
 * none.
 */
export const makeNodeTable = Effect.fnUntraced(function* (config: ClientConfig) {
  const hurried: ClientConfig = { ...config, answerMillis }
  const { execute } = connectionOfPool(yield* makePool(hurried, 1, prepare))
  return {
    lastChange: Effect.flatMap(execute("SELECT last_change AS last FROM totals", [], undefined), decodeLast),
    report: ({ figures, name, role, up, version }) =>
      Effect.flatMap(execute(report, [name, role, version, Math.floor(up), figures], undefined), decode),
    due: (most) => Effect.map(Effect.flatMap(execute(due, [most], undefined), decodeDue), ([{ due }]) => due),
    trim: (after) => Effect.map(Effect.flatMap(execute(trim, [after], undefined), decodeTrimmed), ([{ last }]) => last),
    leave: (name) => Effect.asVoid(execute("DELETE FROM nodes WHERE name = $1", [name], undefined))
  } satisfies NodeTable
})
