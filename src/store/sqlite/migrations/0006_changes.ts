import * as SqlClient from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * - `changes` has every change of an order's status: the history. `id` ascends in the order of commit. `run` and `attempt`
 *   are the order's after the change, `error` is that of a run that came to nothing, `due_at` when the next may begin, and
 *   `asked_by` the name of the key with which it was asked for. Orders from before this migration have no past.
 * - `last_change` is the id of the last change, kept or not; every change from `history_from` on is kept, but for those of
 *   orders that were pruned before that.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    CREATE TABLE changes (
      id            INTEGER PRIMARY KEY,
      seq           INTEGER NOT NULL,
      from_status   TEXT,
      to_status     TEXT    NOT NULL,
      at            INTEGER NOT NULL,
      run           INTEGER NOT NULL,
      attempt       INTEGER NOT NULL,
      reason        TEXT    NOT NULL,
      error         TEXT    CHECK (error IS NULL OR json_valid(error)),
      due_at        INTEGER,
      asked_by      TEXT
    ) STRICT
  `
  yield* sql`CREATE INDEX changes_order ON changes (seq)`
  yield* sql`ALTER TABLE totals ADD COLUMN last_change INTEGER NOT NULL DEFAULT 0`
  yield* sql`ALTER TABLE totals ADD COLUMN history_from INTEGER NOT NULL DEFAULT 1`
})
