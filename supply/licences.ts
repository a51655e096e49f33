import * as Fs from "node:fs"
import { type Lockfile, productionOf, refused } from "./Licence.ts"

/** Looks at the licences of what production needs, by a lock file: `npm run licences [-- package-lock.json]`. */
const lockfile: Lockfile = JSON.parse(Fs.readFileSync(process.argv[2] ?? "package-lock.json", "utf8"))
const lines = refused(lockfile)

process.stdout.write(
  lines.length > 0
    ? `${lines.join("\n")}\n`
    : `${productionOf(lockfile).length} packages of production, all under licences that are allowed\n`
)
process.exitCode = lines.length > 0 ? 1 : 0
