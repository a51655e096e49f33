import { execSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Schema } from "effect"
import * as Esbuild from "esbuild"
import { dist } from "./Program.ts"
import { profiles } from "./Settings.ts"

const bench = import.meta.dirname
const repository = Path.dirname(bench)

const Package = Schema.parseJson(Schema.Struct({ scripts: Schema.Struct({ "build:main": Schema.String }) }))

/** What stands on Effect is bundled by the very command the service is bundled by. */
const bundled = ["ours", "echo"]

export const build = () => {
  Fs.rmSync(dist, { recursive: true, force: true })
  const command = Schema.decodeSync(Package)(Fs.readFileSync(Path.join(repository, "package.json"), "utf8")).scripts[
    "build:main"
  ]
  for (const name of bundled) {
    const own = `${command} ${profiles ? "--sourcemap" : ""}`
      .replace("src/main.ts", `bench/contestants/${name}.ts`)
      .replace("dist/main.js", `bench/dist/${name}.js`)
      .replace("dist/meta/main.json", `bench/dist/${name}.json`)
    execSync(own, {
      cwd: repository,
      env: { ...process.env, PATH: `${Path.join(repository, "node_modules/.bin")}:${process.env.PATH}` },
      stdio: "inherit"
    })
  }
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
