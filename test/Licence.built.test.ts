import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { isAllowed, type Lockfile, refused } from "../supply/Licence.ts"
import { execute } from "./support/Run.ts"
import { temporaryFolder } from "./support/TestLayers.ts"

const lockfile = (license: string | undefined, rest: object = {}): Lockfile => ({
  packages: {
    "": { version: "0.1.0" },
    driver: { version: "1.0.0", license: "MIT" },
    "node_modules/driver": { link: true },
    "node_modules/found": { version: "1.2.3", ...(license === undefined ? {} : { license }), ...rest }
  }
})

describe("the licences of production", () => {
  it("are read as SPDX expressions: one of those joined by OR is enough, all joined by AND are needed", () => {
    for (const expression of [
      "MIT",
      "(MIT OR WTFPL)",
      "GPL-3.0-only OR (MIT AND ISC)",
      "GPL-3.0-only AND MIT OR 0BSD",
      "(BSD-2-Clause OR MIT OR Apache-2.0)"
    ]) {
      assert.isTrue(isAllowed(expression), expression)
    }
    for (const expression of [
      "",
      "GPL-3.0-only",
      "MIT AND GPL-3.0-only",
      "MIT AND (GPL-3.0-only OR AGPL-3.0-only)",
      "Apache-2.0 WITH LLVM-exception",
      "SEE LICENSE IN LICENSE",
      "UNLICENSED",
      "MIT License",
      "(MIT",
      "MIT)",
      "MIT OR",
      "mit"
    ]) {
      assert.isFalse(isAllowed(expression), expression)
    }
  })

  it("have to be named and allowed, but not those of what only tests and builds need", () => {
    assert.deepStrictEqual(refused(lockfile("ISC")), [])
    assert.deepStrictEqual(refused(lockfile("GPL-3.0-only", { dev: true })), [])
    assert.deepStrictEqual(refused(lockfile("GPL-3.0-only", { optional: true })), [
      "node_modules/found 1.2.3: GPL-3.0-only, which supply/Licence.ts does not allow"
    ])
    assert.deepStrictEqual(refused(lockfile(undefined)), [
      "node_modules/found 1.2.3: it names no licence, which supply/Licence.ts does not allow"
    ])
  })

  it("are all allowed", () => {
    assert.deepStrictEqual(refused(JSON.parse(Fs.readFileSync("package-lock.json", "utf8"))), [])
  })

  it.scoped("end the check with 1 where one is not", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const check = (name: string, lock: Lockfile) =>
        Effect.promise(async () => {
          const file = Path.join(folder, name)
          Fs.writeFileSync(file, JSON.stringify(lock))
          return execute(process.execPath, ["--import", "tsx", "supply/licences.ts", file]).then(
            ({ stdout }) => [0, stdout],
            ({ code, stdout }) => [code, stdout]
          )
        })
      assert.deepStrictEqual(yield* check("bad.json", lockfile("SSPL-1.0")), [
        1,
        "node_modules/found 1.2.3: SSPL-1.0, which supply/Licence.ts does not allow\n"
      ])
      assert.deepStrictEqual(yield* check("good.json", lockfile("MIT")), [
        0,
        "2 packages of production, all under licences that are allowed\n"
      ])
    })
  )
})
