import { Schema } from "effect"
import { suspectLosses } from "../store/Command.ts"
import { countedTotals } from "../store/sqlite/DatabaseCheck.ts"
import { type Check, error, notByUs, ok, warning } from "./Check.ts"
import type { DatabaseReader } from "./DatabaseReader.ts"

const TotalsRow = Schema.Struct({ name: Schema.String, kept: Schema.Int, counted: Schema.Int })

/** The migration since which it is recorded how long each run took. */
const migrationOfTook = 4

/** All-time totals against the rows there are, and those that were removed after their retention. */
export const checkTotals = (reader: DatabaseReader, latest: number): Check => {
  if (reader.number("SELECT count(*) FROM totals") !== 1) return error("totals", "the table has lost its row", notByUs)
  const rows = reader.rows(TotalsRow, countedTotals)
  const wrong = rows.filter(({ counted, kept }) => counted !== kept)
  const took = latest < migrationOfTook ? "finished_at - started_at" : "COALESCE(took, finished_at - started_at)"
  const elapsed = reader.number(`SELECT COALESCE(sum(${took}), 0) FROM orders WHERE status = 'Completed'`)
  const summed = reader.number("SELECT processing_ms FROM totals")
  const isExact = reader.number("SELECT count(*) FROM pruned") === 0
  const found = [
    ...wrong.map(({ counted, kept, name }) => `${name} ${kept}, but ${counted} are there`),
    ...((isExact ? summed === elapsed : summed >= elapsed)
      ? []
      : [`processing time ${summed} ms, but the orders took ${elapsed} ms`])
  ]
  const sum = rows.reduce((orders, { kept }) => orders + kept, 0)
  return found.length === 0 ? ok("totals", `${sum} orders, as counted`) : error("totals", found.join("; "), notByUs)
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
  const wrong = Object.entries(findings).flatMap(([what, query]) => {
    const count = reader.number(query)
    return count === 0 ? [] : [`${what}: ${count}`]
  })
  return wrong.length === 0
    ? ok("listings", "failures and times are found as they are")
    : error("listings", wrong.join("; "), notByUs)
}

const minute = 60_000

const orders = (count: number) => (count === 1 ? "1 order" : `${count} orders`)

export const checkProcessing = (reader: DatabaseReader, held: boolean, now: number): Check => {
  const processing = reader.number("SELECT count(*) FROM orders WHERE status = 'Processing'")
  if (!held && processing > 0) {
    return ok("processing", `${orders(processing)} Processing; the service processes them again when it starts`)
  }
  const old = reader.number(
    "SELECT count(*) FROM orders WHERE status = 'Processing' AND started_at < ?",
    now - 60 * minute
  )
  return old > 0
    ? warning(
        "processing",
        `${orders(old)} Processing for more than an hour`,
        "See whether ATTEMPT_TIMEOUT is meant to be that long; if not, restart the service."
      )
    : ok("processing", `${orders(processing)} Processing`)
}

export const checkPending = (reader: DatabaseReader, held: boolean, now: number): Check => {
  const pending = reader.number("SELECT count(*) FROM orders WHERE status = 'Pending'")
  const overdue = "SELECT count(*) FROM orders WHERE status = 'Pending' AND due_at < ?"
  const late = reader.number(overdue, now - 60 * minute)
  if (late === 0) return ok("pending", `${orders(pending)} Pending`)
  return warning(
    "pending",
    `${orders(late)} of ${pending} Pending due for more than an hour`,
    held
      ? "See `orders metrics`: an open breaker means the processor fails; busy workers, that there are too few."
      : "No service runs: start it."
  )
}

export const checkSuspects = (reader: DatabaseReader): Check => {
  const lost = reader.number(
    `SELECT count(*) FROM orders WHERE status IN ('Pending', 'Processing') AND losses >= ${suspectLosses}`
  )
  return lost === 0
    ? ok("suspects", "no order was lost with the process again and again")
    : warning(
        "suspects",
        `${orders(lost)} lost with the process ${suspectLosses} times or more`,
        "The processor may end the process at them: they are worked alone. Look at them, or cancel them."
      )
}

const isFinalRow = "status IN ('Completed', 'Failed', 'Cancelled')"

/** What may not be true of any row, by name. */
const rules = {
  "final without a time of finishing": `${isFinalRow} AND finished_at IS NULL`,
  "not final, but finished": `NOT ${isFinalRow} AND finished_at IS NOT NULL`,
  "Processing without a start": "status = 'Processing' AND started_at IS NULL",
  "Pending, but started": "status = 'Pending' AND started_at IS NOT NULL",
  "Completed or Failed without a run": "status IN ('Completed', 'Failed') AND (run = 0 OR started_at IS NULL)",
  "finished before it started": "finished_at < started_at",
  "more attempts than runs": "attempts > run",
  "Failed without an error": "status = 'Failed' AND error_code IS NULL",
  "a result, but not Completed": "status <> 'Completed' AND result IS NOT NULL",
  "items that are no list of 1 to 1000":
    "json_type(item_ids) IS NOT 'array' OR json_array_length(item_ids) NOT BETWEEN 1 AND 1000",
  "metadata that is no object": "metadata IS NOT NULL AND json_type(metadata) IS NOT 'object'",
  "an id that is none": "order_id GLOB '*[^A-Za-z0-9._:-]*' OR length(order_id) NOT BETWEEN 1 AND 64",
  "also among the removed": "order_id IN (SELECT order_id FROM pruned)"
}

export const checkRows = (reader: DatabaseReader): Check => {
  const broken = Object.entries(rules).flatMap(([rule, where]) => {
    const count = reader.number(`SELECT count(*) FROM orders WHERE ${where}`)
    if (count === 0) return []
    const some = reader.db.prepare(`SELECT order_id FROM orders WHERE ${where} ORDER BY seq LIMIT 3`).pluck().all()
    return [`${rule}: ${orders(count)} (${some.join(", ")}${count > some.length ? ", ..." : ""})`]
  })
  return broken.length === 0 ? ok("orders", "no row contradicts itself") : error("orders", broken.join("; "), notByUs)
}

/** Times that the clock has not reached: it was ahead when they were written, or is behind now. They do no harm. */
export const checkClock = (reader: DatabaseReader, now: number): Check => {
  const latest = now + minute
  const count = reader.number(
    "SELECT count(*) FROM orders WHERE accepted_at > ? OR started_at > ? OR finished_at > ?",
    ...[latest, latest, latest]
  )
  const ahead = `${orders(count)} with a time still to come: the clock of this machine was ahead, or is behind now`
  return ok("clock", count === 0 ? "no order has a time still to come" : ahead)
}
