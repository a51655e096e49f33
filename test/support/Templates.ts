import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { promisify } from "node:util"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    /** The folder of what is made once for all files, gone after the last. */
    readonly templates: string
  }
}

/** Makes and removes that folder. */
export default (project: TestProject) => {
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "orders-templates-"))
  Fs.chmodSync(folder, 0o755)
  project.provide("templates", folder)
  return () => Fs.rmSync(folder, { recursive: true, force: true })
}

const run = promisify(execFile)

/** Copies a folder with its owners, after it was made there by whoever is first to need it. */
export const copyTemplate = async (from: string, to: string, make: (folder: string) => Promise<unknown>) => {
  if (!Fs.existsSync(from)) {
    const home = Fs.mkdtempSync(`${from}-`)
    Fs.chmodSync(home, 0o777)
    const made = Path.join(home, "made")
    await make(made)
    // Another worker may have been as fast.
    if (!Fs.existsSync(from)) await Fs.promises.rename(made, from).catch(() => {})
  }
  await run("cp", ["-a", from, to])
}
