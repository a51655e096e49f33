import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

/** A package of someone else, or a part of it, in what is shipped. */
export interface Package {
  readonly name: string
  readonly version: string
  readonly license: string
  readonly folder: string
}

interface PackageJson {
  readonly name?: string
  readonly version?: string
  readonly license?: string
  readonly private?: boolean
}

/** What is used of the metafile that esbuild writes. */
interface Metafile {
  readonly outputs: Record<string, { readonly inputs: Record<string, { readonly bytesInOutput: number }> }>
}

/** The package a file belongs to; none if that is private, which only ours are. */
const packageOf = (file: string): Package | undefined => {
  const folder = Path.dirname(file)
  if (folder === file) throw new Error("A file that is in no package is in a bundle")
  const path = Path.join(folder, "package.json")
  const found: PackageJson = Fs.existsSync(path) ? JSON.parse(Fs.readFileSync(path, "utf8")) : {}
  // Some have others inside that only say `"type": "module"`.
  if (found.name === undefined || found.version === undefined) return packageOf(folder)
  if (found.private === true) return undefined
  return { name: found.name, version: found.version, license: found.license ?? "", folder }
}

export const idOf = ({ name, version }: Package) => `${name}@${version}`

const packagesOf = (files: ReadonlyArray<string>) => {
  const packages = new Map<string, Package>()
  for (const file of files) {
    const found = packageOf(Path.resolve(file))
    if (found !== undefined) packages.set(idOf(found), found)
  }
  return [...packages.keys()].sort().flatMap((id) => packages.get(id) ?? [])
}

/** What the last `npm run build` made, as it says itself. An earlier one may have left other files beside it. */
const outputs = () =>
  ["dist/meta/programs.json", "dist/meta/dashboard.json"].flatMap((file) => {
    if (!Fs.existsSync(file)) throw new Error(`There is no ${file}: run \`npm run build\` first`)
    const { outputs }: Metafile = JSON.parse(Fs.readFileSync(file, "utf8"))
    return Object.entries(outputs)
  })

/** The files of the bundles. */
export const bundles = () => outputs().map(([file]) => file)

/** The packages that have code in a bundle. */
export const bundledPackages = () =>
  packagesOf(
    outputs().flatMap(([, { inputs }]) =>
      Object.entries(inputs).flatMap(([input, { bytesInOutput }]) => (bytesInOutput > 0 ? [input] : []))
    )
  )

const openDatabase = `
  new (require("better-sqlite3"))(":memory:").close()
  console.log(JSON.stringify(Object.keys(require.cache)))
`

/** The files below node_modules that this Node loads to open a database: all that the bundles need besides themselves. */
export const loadedFiles = (): ReadonlyArray<string> => {
  const args = ["--preserve-symlinks", "-e", openDatabase]
  const files: ReadonlyArray<string> = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }))
  return files.map((file) => Path.relative("", file)).filter((file) => file.startsWith("node_modules/"))
}

/** The packages that are beside the bundles, in node_modules. */
export const loadedPackages = () => packagesOf(loadedFiles())

interface Needs {
  readonly dependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
  readonly peerDependenciesMeta?: Record<string, { readonly optional?: boolean }>
}

const neededBy = ({ dependencies, peerDependencies, peerDependenciesMeta }: Needs) => [
  ...Object.keys(dependencies ?? {}),
  ...Object.keys(peerDependencies ?? {}).filter((name) => peerDependenciesMeta?.[name]?.optional !== true)
]

/** The packages that `QUEUE=pg-boss` needs: that one, and all that it depends on. */
export const enginePackages = () => {
  const folders = new Set<string>()
  const visit = (name: string, from: string) => {
    const folder = Path.join(from, "node_modules", name)
    if (!Fs.existsSync(folder)) {
      if (from === Path.dirname(from)) throw new Error(`${name} is not installed`)
      visit(name, Path.dirname(from))
    } else if (!folders.has(folder)) {
      folders.add(folder)
      const needs: Needs = JSON.parse(Fs.readFileSync(Path.join(folder, "package.json"), "utf8"))
      for (const needed of neededBy(needs)) visit(needed, folder)
    }
  }
  visit("pg-boss", Path.resolve())
  return packagesOf([...folders].map((folder) => Path.join(folder, "package.json")))
}

/** The texts that a package asks to be passed on: its licence, and what it says about parts of others. */
export const noticesOf = (folder: string) =>
  Fs.readdirSync(folder)
    .filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
    .sort()
    .map((file) => Path.join(folder, file))
