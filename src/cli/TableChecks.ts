import { Effect } from "effect"
import type { Check } from "./Check.ts"
import { checkHistory } from "./HistoryChecks.ts"
import {
  checkClock,
  checkListings,
  checkPending,
  checkProcessing,
  checkRows,
  checkSuspects,
  checkTotals
} from "./OrderChecks.ts"
import { numberOf, type Tables } from "./TableQueries.ts"

/** What is known of a database before its tables are looked at. */
interface Known {
  readonly isHeld: boolean
  readonly now: number
  /** What may not be true of any row, by name. */
  readonly rules: Readonly<Record<string, string>>
  /** How long the run of a Completed order took. */
  readonly took: string
  /** Row by row only so many orders are looked at: of those before them, the most have long been done. */
  readonly newest: number
}

const everyKey = Number.MIN_SAFE_INTEGER

/** The checks of what is in the tables, by name, each of a few statements. */
export const tableChecks = <E>(
  tables: Tables<E>,
  { isHeld, newest, now, rules, took }: Known
): ReadonlyArray<readonly [name: string, check: Effect.Effect<Check, E>]> => {
  /** Looks behind a key, and says so where not all orders were looked at. */
  const byKey = (check: (low: number) => Effect.Effect<Check, E>) =>
    Effect.gen(function* () {
      const low = (yield* numberOf(tables, "SELECT COALESCE(max(seq), 0) FROM orders")) - newest
      if (low <= 0) return yield* check(everyKey)
      const made = yield* check(low)
      return { ...made, found: `${made.found}; of the newest ${newest} orders` }
    })
  return [
    ["totals", checkTotals(tables, took)],
    ["listings", byKey((low) => checkListings(tables, low))],
    ["processing", checkProcessing(tables, isHeld, now)],
    ["pending", checkPending(tables, isHeld, now)],
    ["suspects", checkSuspects(tables)],
    ["clock", byKey((low) => checkClock(tables, low, now))],
    ["orders", byKey((low) => checkRows(tables, low, rules))],
    ["history", byKey((low) => checkHistory(tables, low))]
  ]
}
