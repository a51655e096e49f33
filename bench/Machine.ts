import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Schema } from "effect"
import { fileSystem, syncMillis } from "./Folder.ts"
import { generator } from "./Load.ts"
import { versionOfMariadb } from "./Mariadb.ts"
import { versionOfPostgres } from "./Postgres.ts"

const Package = Schema.parseJson(
  Schema.Struct({ dependencies: Schema.Record({ key: Schema.String, value: Schema.String }) })
)
const dependencies = (file: string) =>
  Schema.decodeSync(Package)(Fs.readFileSync(Path.join(import.meta.dirname, file), "utf8")).dependencies

const firstLine = (program: string, args: ReadonlyArray<string>) => {
  try {
    return (
      execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n", 1)[0] ?? ""
    )
  } catch {
    return "none"
  }
}

/** The machine and the versions, by name. */
export const machine = async (): Promise<Record<string, string>> => {
  const own = dependencies("../package.json")
  const peers = dependencies("package.json")
  return {
    processor: `${Os.availableParallelism()} x ${Os.cpus()[0]?.model.trim() ?? "unknown"}`,
    memory: `${Math.round(Os.totalmem() / 1e9)} GB`,
    "load before": `${Os.loadavg()[0]?.toFixed(1)}`,
    system: `${Os.type()} ${Os.release()}`,
    disk: `${fileSystem()}, a sync of 4 KiB takes ${syncMillis().toFixed(2)} ms`,
    node: process.version,
    "load generator": generator in peers ? `${generator} ${peers[generator]}` : generator,
    packages: ["effect", "@effect/platform", "@effect/platform-node", "better-sqlite3"]
      .map((name) => `${name} ${own[name]}`)
      .concat(["fastify", "bullmq", "pg-boss", "plainjob"].map((name) => `${name} ${peers[name]}`))
      .join(", "),
    Redis: /v=(\S+)/.exec(firstLine("redis-server", ["--version"]))?.[1] ?? "none",
    PostgreSQL: await versionOfPostgres(),
    MariaDB: await versionOfMariadb(),
    commit: firstLine("git", ["-C", import.meta.dirname, "describe", "--always", "--dirty"])
  }
}
