import { Schema } from "effect"
import { suspectLosses } from "../store/Command.ts"
import { countedTotals } from "../store/sqlite/DatabaseCheck.ts"
import { type Check, error, notByUs, ok } from "./Check.ts"
import type { DatabaseReader } from "./DatabaseReader.ts"
import {
  agoMinutes,
  clockVerdict,
  found,
  latestTime,
  listingsVerdict,
  pendingVerdict,
  portableRules,
  processingVerdict,
  rowsVerdict,
  suspectsVerdict,
  totalsVerdict
} from "./Verdicts.ts"

const TotalsRow = Schema.Struct({ name: Schema.String, kept: Schema.Int, counted: Schema.Int })

/** The migration since which it is recorded how long each run took. */
const migrationOfTook = 4

/** All-time totals against the rows there are, and those that were removed after their retention. */
export const checkTotals = (reader: DatabaseReader, latest: number): Check => {
  if (reader.number("SELECT count(*) FROM totals") !== 1) return error("totals", "the table has lost its row", notByUs)
  const took = latest < migrationOfTook ? "finished_at - started_at" : "COALESCE(took, finished_at - started_at)"
  return totalsVerdict({
    rows: reader.rows(TotalsRow, countedTotals),
    elapsed: reader.number(`SELECT COALESCE(sum(${took}), 0) FROM orders WHERE status = 'Completed'`),
    summed: reader.number("SELECT processing_ms FROM totals"),
    isExact: reader.number("SELECT count(*) FROM pruned") === 0
  })
}

/** What must be 0 of what orders are found by, by name. */
const findings = {
  "error codes counted otherwise than their Failed orders": `
    SELECT count(*) FROM (
      SELECT error_code, count(*) AS count FROM orders WHERE status = 'Failed' AND error_code IS NOT NULL
      GROUP BY error_code
    ) AS present FULL JOIN failures USING (error_code)
    WHERE present.count IS NOT failures.count`,
  "error codes more or fewer than are counted": `
    SELECT abs(failure_codes - (SELECT count(*) FROM failures)) FROM totals`,
  "orders accepted outside of the time noted for their block": `
    SELECT count(*) FROM orders LEFT JOIN spans ON block = seq / 1024
    WHERE earliest IS NULL OR accepted_at NOT BETWEEN earliest AND latest`
}

const migrationOfListings = 3

export const checkListings = (reader: DatabaseReader, latest: number): Check => {
  if (latest < migrationOfListings) return ok("listings", "not kept by the version that wrote this")
  return listingsVerdict(Object.entries(findings).map(([what, query]) => [what, reader.number(query)] as const))
}

export const checkProcessing = (reader: DatabaseReader, held: boolean, now: number): Check =>
  processingVerdict(
    {
      processing: reader.number("SELECT count(*) FROM orders WHERE status = 'Processing'"),
      old: reader.number(
        "SELECT count(*) FROM orders WHERE status = 'Processing' AND started_at < ?",
        agoMinutes(now, 60)
      )
    },
    held
  )

export const checkPending = (reader: DatabaseReader, held: boolean, now: number): Check =>
  pendingVerdict(
    {
      pending: reader.number("SELECT count(*) FROM orders WHERE status = 'Pending'"),
      late: reader.number("SELECT count(*) FROM orders WHERE status = 'Pending' AND due_at < ?", agoMinutes(now, 60))
    },
    held
  )

export const checkSuspects = (reader: DatabaseReader): Check =>
  suspectsVerdict(
    reader.number(
      `SELECT count(*) FROM orders WHERE status IN ('Pending', 'Processing') AND losses >= ${suspectLosses}`
    )
  )

/** What may not be true of any row, by name. */
const rules = {
  ...portableRules,
  "items that are no list of 1 to 1000":
    "json_type(item_ids) IS NOT 'array' OR json_array_length(item_ids) NOT BETWEEN 1 AND 1000",
  "metadata that is no object": "metadata IS NOT NULL AND json_type(metadata) IS NOT 'object'",
  "an id that is none": "order_id GLOB '*[^A-Za-z0-9._:-]*' OR length(order_id) NOT BETWEEN 1 AND 64"
}

export const checkRows = (reader: DatabaseReader): Check =>
  rowsVerdict(
    Object.entries(rules).flatMap(([rule, where]) => {
      const count = reader.number(`SELECT count(*) FROM orders WHERE ${where}`)
      if (count === 0) return []
      const some = reader.db.prepare(`SELECT order_id FROM orders WHERE ${where} ORDER BY seq LIMIT 3`).pluck().all()
      return [found(rule, count, some, "orders")]
    })
  )

/** Times that the clock has not reached: it was ahead when they were written, or is behind now. They do no harm. */
export const checkClock = (reader: DatabaseReader, now: number): Check => {
  const latest = latestTime(now)
  return clockVerdict(
    reader.number(
      "SELECT count(*) FROM orders WHERE accepted_at > ? OR started_at > ? OR finished_at > ?",
      ...[latest, latest, latest]
    )
  )
}
