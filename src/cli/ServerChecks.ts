import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { suspectLosses } from "../store/Command.ts"
import type { Examination } from "../store/server/Examination.ts"
import { countedTotals } from "../store/sqlite/DatabaseCheck.ts"
import { type Check, error, notByUs } from "./Check.ts"
import {
  agoMinutes,
  clockVerdict,
  found,
  historyVerdict,
  latestTime,
  listingsVerdict,
  pendingVerdict,
  portableRules,
  processingVerdict,
  rowsVerdict,
  suspectsVerdict,
  totalsVerdict
} from "./Verdicts.ts"

/** Row by row, the newest keys are looked at: of those before them, the most have long been done. */
const mostKeys = 1_000_000

type Value = number | string | null

/** Statements as they are, for all that is put into them are numbers of ours. */
const reader = ({ sql }: Examination) => ({
  number: (query: string) =>
    Effect.map(sql.unsafe<Record<string, Value>>(query), ([row]) => Number(Object.values(row ?? {})[0])),
  rows: <A extends object>(query: string) => sql.unsafe<A>(query),
  ids: (query: string) =>
    Effect.map(sql.unsafe<Record<string, Value>>(query), (rows) => rows.flatMap((row) => Object.values(row)))
})

type Reader = ReturnType<typeof reader>

/** What is behind that key is looked at row by row. */
const firstKey = ({ number }: Reader) =>
  Effect.map(number("SELECT COALESCE(max(seq), 0) FROM orders"), (last) => Math.max(0, last - mostKeys))

/** Says so where not all orders were looked at. */
const withRange = (low: number) => (check: Check) =>
  low === 0 ? check : { ...check, found: `${check.found}; of the newest ${mostKeys} orders` }

const checkTotals = Effect.fnUntraced(function* ({ number, rows }: Reader) {
  if ((yield* number("SELECT count(*) FROM totals")) !== 1) {
    return error("totals", "the table has lost its row", notByUs)
  }
  const counted = yield* rows<{ name: string; kept: number; counted: number }>(countedTotals)
  return totalsVerdict({
    rows: counted,
    elapsed: yield* number(
      "SELECT COALESCE(sum(COALESCE(took, finished_at - started_at)), 0) FROM orders WHERE status = 'Completed'"
    ),
    summed: yield* number("SELECT processing_ms FROM totals"),
    isExact: (yield* number("SELECT count(*) FROM (SELECT 1 AS one FROM pruned LIMIT 1) AS first_row")) === 0
  })
})

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

const checkListings = Effect.fnUntraced(function* ({ number }: Reader, low: number) {
  const counts = yield* Effect.forEach(Object.entries(listings(low)), ([what, query]) =>
    Effect.map(number(query), (count) => [what, count] as const)
  )
  return withRange(low)(listingsVerdict(counts))
})

const checkProcessing = Effect.fnUntraced(function* ({ number }: Reader, held: boolean, now: number) {
  const processing = "SELECT count(*) FROM orders WHERE status = 'Processing'"
  return processingVerdict(
    {
      processing: yield* number(processing),
      old: yield* number(`${processing} AND started_at < ${agoMinutes(now, 60)}`)
    },
    held
  )
})

const checkPending = Effect.fnUntraced(function* ({ number }: Reader, held: boolean, now: number) {
  const pending = "SELECT count(*) FROM orders WHERE status = 'Pending'"
  return pendingVerdict(
    { pending: yield* number(pending), late: yield* number(`${pending} AND due_at < ${agoMinutes(now, 60)}`) },
    held
  )
})

const checkSuspects = ({ number }: Reader) =>
  Effect.map(
    number(`SELECT count(*) FROM orders WHERE status IN ('Pending', 'Processing') AND losses >= ${suspectLosses}`),
    suspectsVerdict
  )

const checkClock = ({ number }: Reader, low: number, now: number) => {
  const later = ["accepted_at", "started_at", "finished_at"].map((time) => `${time} > ${latestTime(now)}`)
  return Effect.map(number(`SELECT count(*) FROM orders WHERE seq > ${low} AND (${later.join(" OR ")})`), (count) =>
    withRange(low)(clockVerdict(count))
  )
}

/** All rules in one go over the rows, and then some of those that break one. */
const checkRows = Effect.fnUntraced(function* ({ ids, rows }: Reader, low: number) {
  const rules = Object.entries(portableRules)
  const sums = rules.map(
    ([, where], index) => `COALESCE(sum(CASE WHEN ${where} THEN 1 ELSE 0 END), 0) AS rule_${index}`
  )
  const [counts] = yield* rows<Record<string, Value>>(`SELECT ${sums.join(", ")} FROM orders WHERE seq > ${low}`)
  const broken = yield* Effect.forEach(rules, ([rule, where], index) => {
    const count = Number(counts?.[`rule_${index}`])
    return count === 0
      ? Effect.succeed([])
      : Effect.map(
          ids(`SELECT order_id FROM orders WHERE seq > ${low} AND (${where}) ORDER BY seq LIMIT 3`),
          (some) => [found(rule, count, some, "orders")]
        )
  })
  return withRange(low)(rowsVerdict(broken.flat()))
})

const history = (low: number) => ({
  "orders that differ from their last change": `
    SELECT order_id
    FROM (SELECT seq, max(id) AS id FROM changes WHERE seq > ${low} GROUP BY seq) AS last_change_of
      JOIN changes ON changes.id = last_change_of.id JOIN orders ON orders.seq = last_change_of.seq
    WHERE status <> to_status OR orders.run <> changes.run OR attempts <> attempt`,
  "changes of no order": `
    SELECT id FROM changes LEFT JOIN orders ON orders.seq = changes.seq
    WHERE changes.seq > ${low} AND orders.seq IS NULL`,
  "changes with ids that are still to come": "SELECT changes.id FROM totals, changes WHERE changes.id > last_change",
  "changes that are kept only later": "SELECT history_from FROM totals WHERE history_from > last_change + 1"
})

const checkHistory = Effect.fnUntraced(function* ({ ids, number }: Reader, low: number) {
  const wrong = yield* Effect.forEach(Object.entries(history(low)), ([what, query]) =>
    Effect.gen(function* () {
      const count = yield* number(`SELECT count(*) FROM (${query}) AS differing`)
      return count === 0 ? [] : [found(what, count, yield* ids(`${query} LIMIT 3`))]
    })
  )
  const changes = yield* number(`SELECT count(*) FROM changes WHERE seq > ${low}`)
  return withRange(low)(historyVerdict(wrong.flat(), changes))
})

/** The checks of what is in the tables, by name, each of a few statements. */
export const contentChecks = (
  examination: Examination,
  now: number
): ReadonlyArray<readonly [name: string, check: Effect.Effect<Check, SqlError>]> => {
  const read = reader(examination)
  const { isHeld } = examination
  const low = firstKey(read)
  return [
    ["totals", checkTotals(read)],
    ["listings", Effect.flatMap(low, (low) => checkListings(read, low))],
    ["processing", checkProcessing(read, isHeld, now)],
    ["pending", checkPending(read, isHeld, now)],
    ["suspects", checkSuspects(read)],
    ["clock", Effect.flatMap(low, (low) => checkClock(read, low, now))],
    ["orders", Effect.flatMap(low, (low) => checkRows(read, low))],
    ["history", Effect.flatMap(low, (low) => checkHistory(read, low))]
  ]
}
