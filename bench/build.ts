import { execSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Schema } from "effect"
import * as Esbuild from "esbuild"
import { dist } from "./Program.ts"
import { profiles } from "./Settings.ts"

const bench = import.meta.dirname
const repository = Path.dirname(bench)

const Package = Schema.parseJson(Schema.Struct({ scripts: Schema.Struct({ "build:programs": Schema.String }) }))

/** What stands on Effect is bundled by the very command the service is bundled by. */
const bundled = ["ours", "echo"]

export const build = () => {
  Fs.rmSync(dist, { recursive: true, force: true })
  const { scripts } = Schema.decodeSync(Package)(Fs.readFileSync(Path.join(repository, "package.json"), "utf8"))
  const command = `${scripts["build:programs"]} ${profiles ? "--sourcemap" : ""}`
    .replace("src/main.ts src/cli.ts", bundled.map((name) => `bench/contestants/${name}.ts`).join(" "))
    .replace("--outdir=dist", "--outdir=bench/dist")
    .replace("dist/meta/programs.json", "bench/dist/programs.json")
  execSync(command, {
    cwd: repository,
    env: { ...process.env, PATH: `${Path.join(repository, "node_modules/.bin")}:${process.env.PATH}` },
    stdio: "inherit"
  })
  const others = ["contestants", "generators"].flatMap((folder) =>
    Fs.readdirSync(Path.join(bench, folder))
      .filter((file) => !bundled.includes(Path.parse(file).name))
      .map((file) => Path.join(bench, folder, file))
  )
  Esbuild.buildSync({
    entryPoints: others,
    bundle: true,
    packages: "external",
    platform: "node",
    target: "node20",
    format: "esm",
    outdir: dist,
    entryNames: "[name]",
    logLevel: "warning"
  })
}
