import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"

const text = Fs.readFileSync("SECURITY.md", "utf8")

/** The rows of the table with that heading, each as its cells. */
const rowsUnder = (heading: string) => {
  const lines = text.slice(text.indexOf(`| ${heading} |`)).split("\n")
  return lines
    .slice(2, lines.indexOf(""))
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim()))
}

describe("SECURITY.md", () => {
  it("names in each row who could do what, what stops it, and tests that are there", () => {
    const rows = rowsUnder("who | could do | what stops it | which test shows it")
    assert.isAbove(rows.length, 10)
    for (const cells of rows) {
      assert.lengthOf(cells, 4, cells.join("; "))
      assert.notInclude(cells, "", cells.join("; "))
      assert.match(cells[3] ?? "", /^`test\/[\w/.]+\.test\.ts`(, `test\/[\w/.]+\.test\.ts`)*$/)
    }
    const named = text.match(/test\/[\w/]+\.[\w.]+/g) ?? []
    assert.isAtLeast(named.length, rows.length)
    for (const file of named) {
      assert.isTrue(Fs.existsSync(file), file)
      assert.match(Fs.readFileSync(file, "utf8"), /\b(it|test|layer)\b.*\(/, file)
    }
  })

  it("is found from the README", () => {
    assert.include(Fs.readFileSync("README.md", "utf8"), "](SECURITY.md)")
  })
})
