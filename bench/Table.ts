import type { Verdict } from "./Goals.ts"
import type { Figures, Line } from "./Rounds.ts"

const plain = (value: number | undefined, digits = 3) =>
  value === undefined || Number.isNaN(value)
    ? ""
    : value >= 1000
      ? Math.round(value).toLocaleString("en")
      : String(Number(value.toPrecision(digits)))

/** Seconds beside the columns that all rows share. */
const seconds: ReadonlyArray<readonly [string, string]> = [
  ["answeredSeconds", "answered"],
  ["readySeconds", "ready"],
  ["firstRunSeconds", "first order runs"],
  ["elsewhereSeconds", "all run elsewhere"],
  ["completedSeconds", "all Completed"],
  ["slowestSeconds", "slowest"]
]

const cpuOf = ({ cpu, storeCpu }: Figures) =>
  storeCpu === undefined ? plain(cpu) : `${plain(cpu)} + ${plain(storeCpu)}`

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) => {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(3, ...all.map((row) => (row[column] ?? "").length)))
  const write = (row: ReadonlyArray<string>) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`
  return [write(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rows.map(write)].join("\n")
}

const ratioToOurs = (line: Line, lines: ReadonlyArray<Line>) => {
  const ours = lines.find(({ isOurs, row }) => isOurs && row === line.row)
  const [own, other] = [ours?.figures.perSecond, line.figures.perSecond]
  return line === ours || own === undefined || other === undefined ? "" : plain(other / own)
}

export const figuresTable = (lines: ReadonlyArray<Line>) =>
  table(
    [
      "row",
      "contestant",
      "per second",
      "ratio to ours",
      "p50 ms",
      "p99 ms",
      "CPU µs each",
      "peak MB",
      "seconds",
      "on power loss"
    ],
    lines.map((line) => [
      line.row,
      line.contestant,
      line.skipped === undefined ? plain(line.figures.perSecond) : `skipped: ${line.skipped}`,
      ratioToOurs(line, lines),
      plain(line.figures.p50),
      plain(line.figures.p99),
      cpuOf(line.figures),
      plain(line.figures.memory),
      seconds
        .flatMap(([key, name]) => (line.figures[key] === undefined ? [] : [`${name} ${plain(line.figures[key])}`]))
        .join(", "),
      line.onPowerLoss
    ])
  )

export const goalsTable = (verdicts: ReadonlyArray<Verdict>) =>
  table(
    ["row", "goal", "measured", ""],
    verdicts.map(({ goal, isMet, measured, row }) => [row, goal, measured, isMet ? "met" : "NOT met"])
  )
