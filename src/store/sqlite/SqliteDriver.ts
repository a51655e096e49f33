import * as Module from "node:module"
import type Sqlite from "better-sqlite3"

/** Why the service does not run on a version of Node, or undefined if it does: what `engines` in package.json says. */
export const unsupported = (version: string): string | undefined => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  const isSupported = (major === 20 && minor >= 19) || (major === 22 && minor >= 14) || major >= 24
  return isSupported ? undefined : `Node ${version} is not supported: use Node 20.19, 22.14, 24, or a newer one`
}

const load = Module.createRequire(import.meta.url)

/** Where better-sqlite3 is, for a thread of its own. */
export const driverPath = () => load.resolve("better-sqlite3")

/**
 * Said on every connection. A schema may call only functions that do no harm; each page is looked at before it is used;
 * and no table of another program has a hold on the rows of ours.
 */
export const precautions = ["trusted_schema = OFF", "cell_size_check = ON", "foreign_keys = OFF"]

/** The SQLite driver that fits this Node. Throws one line where there is none. */
export const loadDriver = (): typeof Sqlite => {
  const { node } = process.versions
  const refusal = unsupported(node)
  if (refusal) throw new Error(refusal)
  try {
    const driver: typeof Sqlite = load("better-sqlite3")
    // The binary is loaded with the first database.
    new driver(":memory:").close()
    return driver
  } catch (cause) {
    const [reason] = String(cause).split("\n")
    const needed = node.startsWith("20.") ? "where make, g++ and python3 are installed" : "optional packages included"
    throw new Error(`SQLite cannot be loaded: run \`npm ci\` with this Node (${node}), ${needed}: ${reason}`, { cause })
  }
}

/** A connection to a database, with the {@link precautions}. Nothing is read or written yet. */
export const openDatabase = (file: string, options: Sqlite.Options): Sqlite.Database => {
  const Driver = loadDriver()
  const db = new Driver(file, options)
  for (const precaution of precautions) db.pragma(precaution)
  return db
}
