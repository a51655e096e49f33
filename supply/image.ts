import * as Fs from "node:fs"
import * as Path from "node:path"
import packageJson from "../package.json" with { type: "json" }
import { loadedFiles, loadedPackages, noticesOf } from "./Packages.ts"
import { sbom } from "./Sbom.ts"

/** Lays out what an image needs beside Node in a new folder: `npm run image -- FOLDER`, behind `npm run build` on the same Node. */
const target = process.argv[2]
if (target === undefined || Fs.existsSync(target)) throw new Error("Give a folder that is not there yet")

const copy = (file: string) => Fs.cpSync(file, Path.join(target, file))

const { bin, license, name, type, version } = packageJson
const isRun = (path: string) => !["dist/meta", "dist/lib"].includes(path)

Fs.cpSync("dist", Path.join(target, "dist"), { recursive: true, filter: isRun })
Fs.writeFileSync(
  Path.join(target, "package.json"),
  JSON.stringify({ name, version, license, private: true, type, bin })
)
Fs.writeFileSync(Path.join(target, "sbom.cdx.json"), JSON.stringify(sbom()))
copy("LICENSE")
for (const file of loadedFiles()) copy(file)
for (const { folder } of loadedPackages()) {
  for (const file of [Path.join(folder, "package.json"), ...noticesOf(folder)]) copy(Path.relative("", file))
}
// Ours, which is none of those.
copy("node_modules/better-sqlite3/package.json")
