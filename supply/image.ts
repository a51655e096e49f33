import * as Fs from "node:fs"
import * as Path from "node:path"
import packageJson from "../package.json" with { type: "json" }
import { isAllowed } from "./Licence.ts"
import { bundles, enginePackages, idOf, loadedFiles, loadedPackages, noticesOf } from "./Packages.ts"
import { sbom } from "./Sbom.ts"

/**
 * Lays out what an image needs beside Node in a new folder: `npm run image -- FOLDER [QUEUE]`, behind `npm run build` on the
 * same Node. For that setting to be `pg-boss` more is needed.
 */
const [target, queue = "memory"] = process.argv.slice(2)
if (target === undefined || Fs.existsSync(target)) throw new Error("Give a folder that is not there yet")
if (!["memory", "pg-boss"].includes(queue)) throw new Error("Give memory or pg-boss as the queue")
const engine = queue === "pg-boss" ? enginePackages() : []

const copy = (file: string) => Fs.cpSync(file, Path.join(target, file))

const { bin, license, name, type, version } = packageJson
for (const file of [...bundles(), "dist/THIRD_PARTY_LICENSES.txt"]) copy(file)
Fs.writeFileSync(
  Path.join(target, "package.json"),
  JSON.stringify({ name, version, license, private: true, type, bin })
)
Fs.writeFileSync(Path.join(target, "sbom.cdx.json"), JSON.stringify(sbom(engine)))
copy("LICENSE")
for (const file of loadedFiles()) copy(file)
for (const { folder } of loadedPackages()) {
  for (const file of [Path.join(folder, "package.json"), ...noticesOf(folder)]) copy(Path.relative("", file))
}
for (const added of engine) {
  if (!isAllowed(added.license)) throw new Error(`${idOf(added)}: supply/Licence.ts does not allow ${added.license}`)
  const inner = Path.join(added.folder, "node_modules")
  const filter = (path: string) => path !== inner && !/\.(map|d\.[cm]?ts)$/.test(path)
  Fs.cpSync(added.folder, Path.join(target, Path.relative("", added.folder)), { recursive: true, filter })
}
// Ours, which is none of those.
copy("node_modules/better-sqlite3/package.json")
