import { assert, describe, it } from "@effect/vitest"
import packageJson from "../../../package.json" with { type: "json" }
import { loadDriver, unsupported } from "../../../src/store/sqlite/SqliteDriver.ts"

describe("the SQLite driver", () => {
  it("is for the versions of Node that package.json names, and says which where it is another", () => {
    assert.strictEqual(packageJson.engines.node, "^20.19.0 || ^22.14.0 || >=24.0.0")
    for (const version of ["20.19.0", "20.20.2", "22.14.0", "22.23.3", "24.0.0", "24.21.0", "25.1.0", "26.10.0"]) {
      assert.isUndefined(unsupported(version), version)
    }
    for (const version of ["18.20.8", "20.10.0", "20.18.3", "21.7.3", "22.0.0", "22.13.1", "23.11.1"]) {
      assert.strictEqual(
        unsupported(version),
        `Node ${version} is not supported: use Node 20.19, 22.14, 24, or a newer one`
      )
    }
  })

  it("works on this one", () => {
    const Driver = loadDriver()
    const db = new Driver(":memory:")
    assert.deepStrictEqual(db.prepare("SELECT 1 AS one").all(), [{ one: 1 }])
    db.close()
  })
})
