import { Effect } from "effect"
import { suspectLosses } from "../store/Command.ts"
import { countedTotals } from "../store/sql/CountedTotals.ts"
import { error, notByUs, ok, warning } from "./Check.ts"
import { findings, numberOf, type Tables } from "./TableQueries.ts"

const minute = 60_000
const hour = 60 * minute

const orders = (count: number) => (count === 1 ? "1 order" : `${count} orders`)

/** How long the run of a Completed order took. */
export const tookOfRun = "COALESCE(took, finished_at - started_at)"

/** All-time totals against the rows there are, and those that were removed after their retention. */
export const checkTotals = Effect.fnUntraced(function* <E>(tables: Tables<E>, took: string) {
  if ((yield* numberOf(tables, "SELECT count(*) FROM totals")) !== 1) {
    return error("totals", "the table has lost its row", notByUs)
  }
  const rows = yield* tables.rows(countedTotals)
  const elapsed = yield* numberOf(tables, `SELECT COALESCE(sum(${took}), 0) FROM orders WHERE status = 'Completed'`)
  const summed = yield* numberOf(tables, "SELECT processing_ms FROM totals")
  const isExact = (yield* tables.rows("SELECT order_id FROM pruned LIMIT 1")).length === 0
  const wrong = [
    ...rows
      .filter(({ counted, kept }) => counted !== kept)
      .map(({ counted, kept, name }) => `${name} ${kept}, but ${counted} are there`),
    ...((isExact ? summed === elapsed : summed >= elapsed)
      ? []
      : [`processing time ${summed} ms, but the orders took ${elapsed} ms`])
  ]
  const sum = rows.reduce((orders, { kept }) => orders + Number(kept), 0)
  return wrong.length === 0 ? ok("totals", `${sum} orders, as counted`) : error("totals", wrong.join("; "), notByUs)
})

/** What must be 0 of what orders are found by, by name. */
const listings = (low: number) => ({
  "error codes counted otherwise than their Failed orders": `
    SELECT count(*) FROM (
      SELECT error_code FROM (
        SELECT error_code, 1 AS there, 0 AS kept FROM orders WHERE status = 'Failed' AND error_code IS NOT NULL
        UNION ALL SELECT error_code, 0, count FROM failures
      ) AS both_sides
      GROUP BY error_code HAVING sum(there) <> sum(kept)
    ) AS differing`,
  "error codes more or fewer than are counted": `
    SELECT abs(failure_codes - (SELECT count(*) FROM failures)) FROM totals`,
  "orders accepted outside of the time noted for their block": `
    SELECT count(*) FROM orders LEFT JOIN spans ON block = (seq - seq % 1024) / 1024
    WHERE seq > ${low} AND (earliest IS NULL OR accepted_at NOT BETWEEN earliest AND latest)`
})

export const checkListings = Effect.fnUntraced(function* <E>(tables: Tables<E>, low: number) {
  const counts = yield* Effect.forEach(Object.entries(listings(low)), ([what, query]) =>
    Effect.map(numberOf(tables, query), (count) => [what, count] as const)
  )
  const wrong = counts.filter(([, count]) => count !== 0).map(([what, count]) => `${what}: ${count}`)
  return wrong.length === 0
    ? ok("listings", "failures and times are found as they are")
    : error("listings", wrong.join("; "), notByUs)
})

export const checkProcessing = Effect.fnUntraced(function* <E>(tables: Tables<E>, held: boolean, now: number) {
  const query = "SELECT count(*) FROM orders WHERE status = 'Processing'"
  const processing = yield* numberOf(tables, query)
  const old = yield* numberOf(tables, `${query} AND started_at < ${now - hour}`)
  if (!held && processing > 0) {
    return ok("processing", `${orders(processing)} Processing; the service processes them again when it starts`)
  }
  return old > 0
    ? warning(
        "processing",
        `${orders(old)} Processing for more than an hour`,
        "See whether ATTEMPT_TIMEOUT is meant to be that long; if not, restart the service."
      )
    : ok("processing", `${orders(processing)} Processing`)
})

export const checkPending = Effect.fnUntraced(function* <E>(tables: Tables<E>, held: boolean, now: number) {
  const query = "SELECT count(*) FROM orders WHERE status = 'Pending'"
  const pending = yield* numberOf(tables, query)
  const late = yield* numberOf(tables, `${query} AND due_at < ${now - hour}`)
  return late === 0
    ? ok("pending", `${orders(pending)} Pending`)
    : warning(
        "pending",
        `${orders(late)} of ${pending} Pending due for more than an hour`,
        held
          ? "See `orders metrics`: an open breaker means the processor fails; busy workers, that there are too few."
          : "No service runs: start it."
      )
})

export const checkSuspects = <E>(tables: Tables<E>) =>
  Effect.map(
    numberOf(
      tables,
      `SELECT count(*) FROM orders WHERE status IN ('Pending', 'Processing') AND losses >= ${suspectLosses}`
    ),
    (lost) =>
      lost === 0
        ? ok("suspects", "no order was lost with the process again and again")
        : warning(
            "suspects",
            `${orders(lost)} lost with the process ${suspectLosses} times or more`,
            "The processor may end the process at them: they are worked alone. Look at them, or cancel them."
          )
  )

/**
 * Times that the clock has not reached: it was ahead when they were written, or is behind now. They do no harm. Clocks
 * differ a little.
 */
export const checkClock = <E>(tables: Tables<E>, low: number, now: number) => {
  const later = ["accepted_at", "started_at", "finished_at"].map((time) => `${time} > ${now + minute}`)
  return Effect.map(
    numberOf(tables, `SELECT count(*) FROM orders WHERE seq > ${low} AND (${later.join(" OR ")})`),
    (count) =>
      ok(
        "clock",
        count === 0
          ? "no order has a time still to come"
          : `${orders(count)} with a time still to come: the clock of this machine was ahead, or is behind now`
      )
  )
}

const isFinal = "status IN ('Completed', 'Failed', 'Cancelled')"

/** What may not be true of any row, by name, in the words of every database. */
export const portableRules = {
  "final without a time of finishing": `${isFinal} AND finished_at IS NULL`,
  "not final, but finished": `NOT ${isFinal} AND finished_at IS NOT NULL`,
  "Processing without a start": "status = 'Processing' AND started_at IS NULL",
  "Pending, but started": "status = 'Pending' AND started_at IS NOT NULL",
  "Completed or Failed without a run": "status IN ('Completed', 'Failed') AND (run = 0 OR started_at IS NULL)",
  "finished before it started": "finished_at < started_at",
  "more attempts than runs": "attempts > run",
  "Failed without an error": "status = 'Failed' AND error_code IS NULL",
  "a result, but not Completed": "status <> 'Completed' AND result IS NOT NULL",
  "also among the removed": "order_id IN (SELECT order_id FROM pruned)"
}

/** All rules in one go over the rows, and then some of those that break one. */
export const checkRows = Effect.fnUntraced(function* <E>(
  tables: Tables<E>,
  low: number,
  rules: Readonly<Record<string, string>>
) {
  const all = Object.entries(rules)
  const sums = all.map(([, where], index) => `COALESCE(sum(CASE WHEN ${where} THEN 1 ELSE 0 END), 0) AS rule_${index}`)
  const [counts] = yield* tables.rows(`SELECT ${sums.join(", ")} FROM orders WHERE seq > ${low}`)
  const broken = all.filter((_, index) => Number(counts?.[`rule_${index}`]) !== 0)
  const found = yield* findings(
    tables,
    Object.fromEntries(
      broken.map(([rule, where]) => [
        rule,
        `SELECT order_id FROM orders WHERE seq > ${low} AND (${where}) ORDER BY seq`
      ])
    ),
    orders
  )
  return found.length === 0 ? ok("orders", "no row contradicts itself") : error("orders", found.join("; "), notByUs)
})
