import { limit, nothingLost } from "./Contestants.ts"
import type { Line } from "./Rounds.ts"

export interface Verdict {
  readonly row: string
  readonly goal: string
  readonly measured: string
  readonly isMet: boolean
}

const number = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3))

const reads = ["GET one", "list, page 1", "list, page 1,000", "GET /api/metrics"]

/** A goal is not met by what was not measured. */
const verdict = (row: string, goal: string, value: number, unit: string, isMet: boolean): Verdict => ({
  row,
  goal,
  measured: Number.isFinite(value) ? `${number(value)} ${unit}` : "not measured",
  isMet: Number.isFinite(value) && isMet
})
const atLeast = (row: string, goal: string, value: number, least: number) =>
  verdict(row, goal, value, "x", value >= least)
const atMost = (row: string, goal: string, value: number, most: number) => verdict(row, goal, value, "x", value <= most)
const below = (row: string, goal: string, value: number, bound: number, unit: string) =>
  verdict(row, goal, value, unit, value < bound)

/** All goals after a full run, else those that the rows measured speak to. */
export const verdicts = (lines: ReadonlyArray<Line>, isFull: boolean): ReadonlyArray<Verdict> => {
  const find = (row: string, contestant = "ours") =>
    lines.find((line) => line.row === row && line.contestant.startsWith(contestant))
  const read = (row: string, figure: string, contestant?: string) =>
    find(row, contestant)?.figures[figure] ?? Number.NaN
  const highest = (row: string, figure: string) =>
    Math.max(...(find(row)?.rounds ?? []).map((figures) => figures[figure] ?? Number.NaN))
  const post = read("single POST", "perSecond")
  const ratio = (row: string, contestant: string) => read(row, "perSecond") / read(row, "perSecond", contestant)
  const burst = "1,000 at once, 2 s each"
  const start = "commit to start, 500/s"
  const byDatabase = (row: string, contestant: string) =>
    read(`${row}, by database`, "perSecond", "ours on PostgreSQL") /
    read(`${row}, by database`, "perSecond", contestant)
  const restart = "restart, 1 million pending"
  const twenty = "20 worst bulk calls at once"
  const of = (row: string, figure: string) =>
    lines.filter((line) => line.row === row).map(({ figures }) => figures[figure] ?? Number.NaN)
  const rivals = lines.filter(
    (line) =>
      line.row === "single POST" &&
      !line.isOurs &&
      line.skipped === undefined &&
      line.onPowerLoss === nothingLost &&
      line.contestant !== limit.name
  )
  const all: ReadonlyArray<Verdict> = [
    atLeast("single POST", "at least 0.95 of the bare Effect echo", ratio("single POST", "bare Effect"), 0.95),
    atLeast(
      "single POST",
      "ahead of every contestant of equal durability but the bare Node limit",
      Math.min(...rivals.map((line) => post / (line.figures.perSecond ?? Number.NaN))),
      1
    ),
    atLeast(
      "single POST with a key",
      "at least 0.95 of the same without",
      read("single POST with a key", "perSecond", "ours, with") / read("single POST with a key", "perSecond"),
      0.95
    ),
    atLeast("bulk of 500", "at least 0.2 of the prepared insert", ratio("bulk of 500", "prepared"), 0.2),
    atLeast("bulk of 500", "at least 10 times single POST", read("bulk of 500", "perSecond") / post, 10),
    atLeast("engine alone", "at least plainjob as shipped", ratio("engine alone", "plainjob, NORMAL"), 1),
    atLeast("engine alone", "at least 5 times plainjob at FULL", ratio("engine alone", "plainjob, FULL"), 5),
    atLeast(
      "accept to Completed",
      "at least 0.65 of single POST",
      read("accept to Completed", "perSecond") / post,
      0.65
    ),
    atLeast(
      "single POST, by database",
      "on PostgreSQL at least 0.5 of that on SQLite",
      byDatabase("single POST", "ours on SQLite"),
      0.5
    ),
    atLeast(
      "accept to Completed, by database",
      "on PostgreSQL ahead of pg-boss",
      byDatabase("accept to Completed", "Fastify + pg-boss"),
      1
    ),
    ...["1 node", "2 nodes", "3 nodes"].map((nodes) => {
      const row = `accept to Completed on ${nodes}`
      return atLeast(row, "at least twice plain pg-boss", ratio(row, "plain pg-boss"), 2)
    }),
    below(
      "SIGKILL of one of 3 nodes",
      "all its orders run elsewhere within 15 s",
      read("SIGKILL of one of 3 nodes", "elsewhereSeconds"),
      15,
      "s"
    ),
    below(start, "p50 under 5 ms", read(start, "p50"), 5, "ms"),
    below(start, "p99 under 20 ms", read(start, "p99"), 20, "ms"),
    below(burst, "all answered within 1.5 s", read(burst, "answeredSeconds"), 1.5, "s"),
    below(burst, "all Completed within 21 s", read(burst, "completedSeconds"), 21, "s"),
    ...reads.map((row) =>
      atMost(
        row,
        "p99 at 10 million orders at most twice that at 10 thousand",
        read(row, "p99", "ours, 10 million") / read(row, "p99", "ours, 10 thousand"),
        2
      )
    ),
    below(restart, "ready within 2 s", read(restart, "readySeconds"), 2, "s"),
    below(restart, "memory under 400 MB throughout", highest(restart, "memory"), 400, "MB"),
    below("cold start", "ready within 1 s", read("cold start", "readySeconds"), 1, "s"),
    ...["POST", "GET"].map((method) => {
      const row = `new client beside a crowd, ${method}`
      const slowest = lines
        .filter((line) => line.row === row)
        .map(({ figures }) => figures.slowestSeconds ?? Number.NaN)
      return below(row, "the slowest under 200 ms", Math.max(...slowest) * 1000, 200, "ms")
    }),
    below(
      "worst requests",
      "/livez never waits 250 ms",
      Math.max(...of("worst requests", "slowestSeconds")) * 1000,
      250,
      "ms"
    ),
    below(twenty, "memory under 500 MB with a heap of 512", Math.max(...of(twenty, "memory")), 500, "MB")
  ]
  const measured = new Set(lines.map((line) => line.row))
  return all.filter(({ row }) => isFull || measured.has(row))
}
