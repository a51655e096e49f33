import * as Fs from "node:fs"
import * as Path from "node:path"
import { build } from "./build.ts"
import { verdicts } from "./Goals.ts"
import { busiest } from "./Load.ts"
import { machine } from "./Machine.ts"
import { profileSummaries } from "./Profile.ts"
import { results } from "./Program.ts"
import { type Line, NotHere, say } from "./Rounds.ts"
import { bulk } from "./rows/bulk.ts"
import { burst } from "./rows/burst.ts"
import { cold } from "./rows/cold.ts"
import { completed } from "./rows/completed.ts"
import { crowd } from "./rows/crowd.ts"
import { databases } from "./rows/databases.ts"
import { engine } from "./rows/engine.ts"
import { memory } from "./rows/memory.ts"
import { nodes } from "./rows/nodes.ts"
import { reads } from "./rows/reads.ts"
import { restart } from "./rows/restart.ts"
import { keyed, single } from "./rows/single.ts"
import { start } from "./rows/start.ts"
import { worst } from "./rows/worst.ts"
import {
  countedSeconds,
  isFull,
  isShort,
  only,
  profiles,
  rounds,
  scale,
  warmUpSeconds,
  writesReadme
} from "./Settings.ts"
import { figuresTable, goalsTable } from "./Table.ts"

const rows: Record<string, () => Promise<ReadonlyArray<Line>>> = {
  ...{ single, keyed, bulk, engine, completed, start, burst, reads, restart, memory, cold, crowd, worst },
  ...databases,
  ...nodes
}
const shortRows: ReadonlyArray<string> = ["single", "bulk", "engine"]

/** A row goes by its name, and by that of its group. */
const isNamed = (row: string, name: string) => row === name || row.startsWith(`${name}/`)
const unknown = only.filter((name) => !Object.keys(rows).some((row) => isNamed(row, name)))
if (unknown.length > 0) throw new Error(`--only takes ${Object.keys(rows).join(", ")}; not ${unknown.join(", ")}`)

const startedAt = Date.now()
build()
const environment = await machine()
const lines: Array<Line> = []

const save = (file: string) => {
  const flags = { short: isShort, only, scale, profile: profiles }
  const goals = verdicts(lines, isFull)
  const text = JSON.stringify({ environment, flags, rounds, warmUpSeconds, countedSeconds, lines, goals }, null, 2)
  Fs.writeFileSync(file, `${text}\n`)
}

Fs.mkdirSync(results, { recursive: true })
for (const [name, measure] of Object.entries(rows)) {
  if (only.length > 0 ? !only.some((given) => isNamed(name, given)) : isShort && !shortRows.includes(name)) continue
  try {
    lines.push(...(await measure()))
  } catch (error) {
    if (!(error instanceof NotHere)) throw error
    say(`${name} skipped: ${error.message}`)
  }
  save(Path.join(results, "latest.json"))
}

const minutes = (Date.now() - startedAt) / 60_000
const report = `${Object.entries(environment)
  .map(([name, value]) => `- ${name}: ${value}`)
  .join("\n")}
- made ${new Date().toISOString().slice(0, 10)} in ${minutes.toFixed(1)} minutes: medians of ${rounds} interleaved rounds, each \
${warmUpSeconds} s of warm-up and ${countedSeconds} s counted, unless bench/README.md says otherwise${scale < 1 ? `; a trial at scale ${scale}: the figures mean nothing` : ""}
- the load generators used at most ${(busiest * 100).toFixed(0)} % of one core

${figuresTable(lines)}

${goalsTable(verdicts(lines, isFull))}
`
process.stdout.write(`\n${report}`)
if (profiles) process.stdout.write(`\n${profileSummaries(startedAt)}\n`)

if (writesReadme) {
  save(Path.join(import.meta.dirname, "last-full-run.json"))
  const readme = Path.join(import.meta.dirname, "README.md")
  const [before = "", after = ""] = Fs.readFileSync(readme, "utf8").split(
    /(?<=<!-- results -->\n)[\s\S]*(?=<!-- end of results -->)/
  )
  Fs.writeFileSync(readme, `${before}\n${report}\n${after}`)
}
