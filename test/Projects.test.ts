import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { importsOf } from "./support/Imports.ts"

/** How a file comes by a process of its own, by a browser, or by what the build made. */
const outside = /"(?:node:child_process|playwright-core)"|\bdist\/(?:main|cli)\.js/

const read = (file: string) => Fs.readFileSync(file, "utf8")

/** A way from a file, over what it imports, to one that goes outside of this process; empty if there is none. */
const wayOutside = (file: string, source = read(file), seen = new Set<string>()): ReadonlyArray<string> => {
  if (seen.has(file)) return []
  seen.add(file)
  if (outside.test(source)) return [file]
  // An example of an import, in a text, may lead nowhere.
  for (const imported of importsOf(file, source).filter((imported) => Fs.existsSync(imported))) {
    const way = wayOutside(imported, read(imported), seen)
    if (way.length > 0) return [file, ...way]
  }
  return []
}

const files = Fs.readdirSync("test", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.ts") && file !== "Projects.test.ts")
  .map((file) => `test/${file}`)
  .sort()
const isBuilt = (file: string) => file.endsWith(".built.test.ts")

describe("The tests of the project", () => {
  it("unit stay in their process", () => {
    const unit = files.filter((file) => !isBuilt(file))
    assert.isAbove(unit.length, 20)
    assert.deepStrictEqual(
      unit.map((file) => wayOutside(file).join(" imports ")).filter((way) => way !== ""),
      []
    )
  })

  it("built do not", () => {
    const built = files.filter(isBuilt)
    assert.isAbove(built.length, 20)
    assert.deepStrictEqual(
      built.filter((file) => wayOutside(file).length === 0),
      []
    )
  })

  for (const source of [
    'import { aNewOrder } from "../support/ServiceProcess.ts"',
    'import { cli } from "../support/CliProcess.ts"',
    'import { inBrowser } from "../support/Browser.ts"',
    'import { withPage } from "../support/DashboardPage.ts"',
    'import { hasPromtool } from "../support/Promtool.ts"',
    'import { run } from "../support/Run.ts"',
    'import { spawn } from "node:child_process"',
    'new Worker("dist/main.js")'
  ]) {
    it(`unit have no ${source}`, () => {
      assert.isNotEmpty(wayOutside("test/http/Example.test.ts", source))
    })
  }
})
