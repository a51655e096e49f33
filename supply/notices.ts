import * as Fs from "node:fs"
import * as Path from "node:path"
import { isAllowed } from "./Licence.ts"
import { bundledPackages, idOf, noticesOf } from "./Packages.ts"

/** Some have the text of their licence at the end of their README only. */
const licenceInReadme = (folder: string) =>
  Fs.readdirSync(folder)
    .filter((file) => /^readme/i.test(file))
    .flatMap((file) => /^#+ *licen[cs]e\b[\s\S]*/im.exec(Fs.readFileSync(Path.join(folder, file), "utf8")) ?? [])
    .map((text) => text.trim())
    .filter((text) => /permission is hereby granted/i.test(text))

/** Writes the licences of the code in the bundles beside them, which is what those licences ask for. Part of `npm run build`. */
const sections = bundledPackages().map((bundled) => {
  const { folder, license } = bundled
  if (!isAllowed(license))
    throw new Error(`${idOf(bundled)}: supply/Licence.ts does not allow ${license || "no licence"}`)
  const files = noticesOf(folder).map((file) => Fs.readFileSync(file, "utf8").trim())
  const texts = files.length > 0 ? files : licenceInReadme(folder)
  if (texts.length === 0) throw new Error(`${idOf(bundled)} has no text of its licence`)
  return [`${idOf(bundled)} (${license})`, ...texts].join("\n\n")
})

const line = `\n\n${"-".repeat(80)}\n\n`
const heading = "The programs in this folder contain code of these packages, under the licences that follow."

Fs.writeFileSync("dist/THIRD_PARTY_LICENSES.txt", `${[heading, ...sections].join(line)}\n`)
