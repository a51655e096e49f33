import type { MetricsJson } from "./ApiJson.ts"

/** The window grows from one to the other. */
const [shortestWindow, longestWindow] = [60, 300]
/** Each point is the mean of so much time: readings and commits do not keep the same beat. */
const meanSeconds = 3
/** A longer time between two readings was not watched, and is left open in the line. */
const gapSeconds = 5

interface Reading {
  readonly at: number
  readonly total: number
  readonly completed: number
  readonly failed: number
}

type Rates = Readonly<Record<"accepted" | "completed" | "failed", number | null>>
type Column = Array<number | null>
/** Seconds, and the orders accepted, completed and failed per second at each; null where it is not known. */
type Columns = [Array<number>, Column, Column, Column]

const isColumn = (value: unknown) =>
  Array.isArray(value) && value.every((one) => one === null || typeof one === "number")
const isColumns = (value: unknown): value is Columns =>
  Array.isArray(value) &&
  value.length === 4 &&
  value.every((column) => isColumn(column) && column.length === value[0].length)

const isReading = (value: unknown): value is Reading =>
  typeof value === "object" &&
  value !== null &&
  ["at", "total", "completed", "failed"].every((name) => typeof Reflect.get(value, name) === "number")

/** What was saved; an empty series where it cannot be read. */
const restored = (saved: string): { readonly columns: Columns; readonly readings: ReadonlyArray<Reading> } => {
  try {
    const [columns, ...readings]: ReadonlyArray<unknown> = JSON.parse(saved)
    if (isColumns(columns)) return { columns, readings: readings.filter(isReading) }
  } catch {
    // It is not JSON, or not an array.
  }
  return { columns: [[], [], [], []], readings: [] }
}

const readingOf = (metrics: MetricsJson, at: number): Reading => ({
  at,
  total: metrics.total_orders,
  completed: metrics.orders_completed,
  failed: metrics.orders_failed
})

/** Whether the difference of two readings is a rate: the time between was watched, and the service did not begin anew. */
const isContinued = (last: Reading, { at, completed, total }: Reading) =>
  at > last.at && at - last.at <= gapSeconds && total >= last.total && completed >= last.completed

const ratesOf = (first: Reading, last: Reading): Rates => {
  const seconds = last.at - first.at
  return {
    accepted: (last.total - first.total) / seconds,
    completed: (last.completed - first.completed) / seconds,
    // Retried ones are no longer Failed.
    failed: Math.max(0, last.failed - first.failed) / seconds
  }
}

const unknown: Rates = { accepted: null, completed: null, failed: null }

/** The orders accepted, completed and failed per second of the last minutes, from the differences of the all-time counts. */
export const throughputSeries = (saved: string) => {
  const kept = restored(saved)
  const { columns } = kept
  const [times, accepted, completed, failed] = columns
  /** The last few readings, the newest last. */
  let { readings } = kept

  const push = (at: number, rates: Rates) => {
    times.push(at)
    accepted.push(rates.accepted)
    completed.push(rates.completed)
    failed.push(rates.failed)
  }

  const trim = (now: number) => {
    const from = times.findIndex((time) => time >= now - longestWindow - 2)
    const drop = from < 0 ? times.length : from
    for (const column of columns) column.splice(0, drop)
  }

  return {
    columns,
    /** Takes the metrics read at that time, in seconds. */
    add: (metrics: MetricsJson, at: number) => {
      const reading = readingOf(metrics, at)
      const last = readings.at(-1)
      const previous = last !== undefined && isContinued(last, reading) ? last : undefined
      const recent = previous === undefined ? [] : readings.filter((one) => one.at > at - meanSeconds - 0.5)
      const first = recent[0] ?? previous
      readings = [...recent, reading]
      const newest = times.at(-1) ?? 0
      if (newest < at) {
        if (first !== undefined) push(at, ratesOf(first, reading))
        else if (newest > 0) push((newest + at) / 2, unknown)
      }
      trim(at)
    },
    /** The seconds from and to which the series is shown: whole minutes up to the newest point. */
    window: (now: number): [number, number] => {
      const to = times.at(-1) ?? now
      const seconds = Math.min(longestWindow, Math.max(shortestWindow, to - (times[0] ?? to)))
      return [to - Math.ceil(seconds / 60) * 60, to]
    },
    /** What a series can be restored from. */
    saved: () => JSON.stringify([columns, ...readings])
  }
}
