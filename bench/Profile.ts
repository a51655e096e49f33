import * as Fs from "node:fs"
import { SourceMap } from "node:module"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { Schema } from "effect"
import { results } from "./Program.ts"

/** What of a V8 CPU profile is read here. See "Profiler.Profile" in the Chrome DevTools Protocol. */
const CpuProfile = Schema.parseJson(
  Schema.Struct({
    nodes: Schema.Array(
      Schema.Struct({
        id: Schema.Number,
        callFrame: Schema.Struct({
          functionName: Schema.String,
          url: Schema.String,
          lineNumber: Schema.Number,
          columnNumber: Schema.Number
        })
      })
    ),
    samples: Schema.Array(Schema.Number),
    timeDeltas: Schema.Array(Schema.Number)
  })
)

const maps = new Map<string, SourceMap>()
const mapOf = (file: string) => {
  const map = maps.get(file) ?? new SourceMap(JSON.parse(Fs.readFileSync(`${file}.map`, "utf8")))
  maps.set(file, map)
  return map
}

/** Whose code a frame is: a package, Node, the collector, or the service itself. */
const ownerOf = ({
  columnNumber,
  functionName,
  lineNumber,
  url
}: (typeof CpuProfile.Type)["nodes"][number]["callFrame"]) => {
  if (url === "") return functionName === "(garbage collector)" ? "garbage collector" : "Node.js"
  if (url.startsWith("node:")) return "Node.js"
  const file = fileURLToPath(url)
  const entry = file.includes("node_modules") ? file : mapOf(file).findEntry(lineNumber, columnNumber)
  const source = typeof entry === "string" ? entry : "originalSource" in entry ? String(entry.originalSource) : file
  const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1]
  // A call into SQLite counts as time of the function that makes it.
  return name === undefined ? "the service's own code" : name.includes("sqlite") ? "SQLite, by way of its client" : name
}

/** Who used the time that a program was busy in the later half of its profile, when it was warm: shares, largest first. */
const sharesOf = (file: string) => {
  const { nodes, samples, timeDeltas } = Schema.decodeSync(CpuProfile)(Fs.readFileSync(file, "utf8"))
  const owners = new Map(
    nodes.map(({ callFrame, id }) => [id, callFrame.functionName === "(idle)" ? undefined : ownerOf(callFrame)])
  )
  const spent = new Map<string, number>()
  const half = samples.length / 2
  for (const [index, id] of samples.entries()) {
    const owner = owners.get(id)
    if (index > half && owner !== undefined) spent.set(owner, (spent.get(owner) ?? 0) + (timeDeltas[index] ?? 0))
  }
  const busy = [...spent.values()].reduce((sum, time) => sum + time, 0)
  return [...spent].map(([owner, time]) => ({ owner, share: time / busy })).sort((a, b) => b.share - a.share)
}

/** What the profiles of this run say, each with its file. */
export const profileSummaries = (since: number) =>
  Fs.readdirSync(results)
    .filter((file) => file.endsWith(".cpuprofile") && Fs.statSync(Path.join(results, file)).mtimeMs >= since)
    .map((file) => {
      const shares = sharesOf(Path.join(results, file)).filter(({ share }) => share >= 0.01)
      return `${file}: ${shares.map(({ owner, share }) => `${owner} ${(share * 100).toFixed(0)} %`).join(", ")}`
    })
    .join("\n")
