import { suspectLosses } from "../store/Command.ts"
import { type Check, error, notByUs, ok, warning } from "./Check.ts"

const minute = 60_000

export const agoMinutes = (now: number, minutes: number) => now - minutes * minute

/** Later than that is a time still to come: clocks differ a little. */
export const latestTime = (now: number) => now + minute

const orders = (count: number) => (count === 1 ? "1 order" : `${count} orders`)

/** What was found so many times, with some of them. */
export const found = (what: string, count: number, some: ReadonlyArray<unknown>, of?: "orders") =>
  `${what}: ${of ? orders(count) : count} (${some.join(", ")}${count > some.length ? ", ..." : ""})`

interface CountedTotals {
  readonly rows: ReadonlyArray<{ readonly name: string; readonly kept: number; readonly counted: number }>
  /** Milliseconds that the Completed orders took, and those of the totals. */
  readonly elapsed: number
  readonly summed: number
  /** No order was pruned. */
  readonly isExact: boolean
}

export const totalsVerdict = ({ elapsed, isExact, rows, summed }: CountedTotals): Check => {
  const wrong = [
    ...rows
      .filter(({ counted, kept }) => counted !== kept)
      .map(({ counted, kept, name }) => `${name} ${kept}, but ${counted} are there`),
    ...((isExact ? summed === elapsed : summed >= elapsed)
      ? []
      : [`processing time ${summed} ms, but the orders took ${elapsed} ms`])
  ]
  const sum = rows.reduce((orders, { kept }) => orders + kept, 0)
  return wrong.length === 0 ? ok("totals", `${sum} orders, as counted`) : error("totals", wrong.join("; "), notByUs)
}

/** Of each finding, how often it was made. */
export const listingsVerdict = (counts: ReadonlyArray<readonly [what: string, count: number]>): Check => {
  const wrong = counts.filter(([, count]) => count !== 0).map(([what, count]) => `${what}: ${count}`)
  return wrong.length === 0
    ? ok("listings", "failures and times are found as they are")
    : error("listings", wrong.join("; "), notByUs)
}

export const processingVerdict = (
  { old, processing }: { readonly processing: number; readonly old: number },
  held: boolean
): Check => {
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
}

export const pendingVerdict = (
  { late, pending }: { readonly pending: number; readonly late: number },
  held: boolean
): Check =>
  late === 0
    ? ok("pending", `${orders(pending)} Pending`)
    : warning(
        "pending",
        `${orders(late)} of ${pending} Pending due for more than an hour`,
        held
          ? "See `orders metrics`: an open breaker means the processor fails; busy workers, that there are too few."
          : "No service runs: start it."
      )

export const suspectsVerdict = (lost: number): Check =>
  lost === 0
    ? ok("suspects", "no order was lost with the process again and again")
    : warning(
        "suspects",
        `${orders(lost)} lost with the process ${suspectLosses} times or more`,
        "The processor may end the process at them: they are worked alone. Look at them, or cancel them."
      )

export const clockVerdict = (count: number): Check =>
  ok(
    "clock",
    count === 0
      ? "no order has a time still to come"
      : `${orders(count)} with a time still to come: the clock of this machine was ahead, or is behind now`
  )

export const rowsVerdict = (broken: ReadonlyArray<string>): Check =>
  broken.length === 0 ? ok("orders", "no row contradicts itself") : error("orders", broken.join("; "), notByUs)

export const historyVerdict = (wrong: ReadonlyArray<string>, changes: number): Check =>
  wrong.length === 0
    ? ok("history", `${changes === 1 ? "1 change" : `${changes} changes`}, the last of each order as the order is`)
    : error("history", wrong.join("; "), notByUs)

const isFinalRow = "status IN ('Completed', 'Failed', 'Cancelled')"

/** What may not be true of any row, by name, in the words of every database. */
export const portableRules = {
  "final without a time of finishing": `${isFinalRow} AND finished_at IS NULL`,
  "not final, but finished": `NOT ${isFinalRow} AND finished_at IS NOT NULL`,
  "Processing without a start": "status = 'Processing' AND started_at IS NULL",
  "Pending, but started": "status = 'Pending' AND started_at IS NOT NULL",
  "Completed or Failed without a run": "status IN ('Completed', 'Failed') AND (run = 0 OR started_at IS NULL)",
  "finished before it started": "finished_at < started_at",
  "more attempts than runs": "attempts > run",
  "Failed without an error": "status = 'Failed' AND error_code IS NULL",
  "a result, but not Completed": "status <> 'Completed' AND result IS NOT NULL",
  "also among the removed": "order_id IN (SELECT order_id FROM pruned)"
}
