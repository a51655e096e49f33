import * as Fs from "node:fs"
import { isAllowed } from "./Licence.ts"
import { bundledPackages, idOf, noticesOf } from "./Packages.ts"

/** Writes the licences of the code in the bundles beside them, which is what those licences ask for. Part of `npm run build`. */
const sections = bundledPackages().map((bundled) => {
  const { folder, license } = bundled
  if (!isAllowed(license))
    throw new Error(`${idOf(bundled)}: supply/Licence.ts does not allow ${license || "no licence"}`)
  const texts = noticesOf(folder).map((file) => Fs.readFileSync(file, "utf8").trim())
  if (texts.length === 0) throw new Error(`${idOf(bundled)} has no text of its licence`)
  return [`${idOf(bundled)} (${license})`, ...texts].join("\n\n")
})

const line = `\n\n${"-".repeat(80)}\n\n`
const heading = "The programs in this folder contain code of these packages, under the licences that follow."

Fs.writeFileSync("dist/THIRD_PARTY_LICENSES.txt", `${[heading, ...sections].join(line)}\n`)
