import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { hasPostgres, postgresSchemas, unlessPostgres } from "../support/Postgres.ts"
import { failToStart, programIn } from "../support/ServiceProcess.ts"
import { temporaryFolder } from "../support/TestLayers.ts"

describe.skipIf(!hasPostgres)(`A node without pg-boss${unlessPostgres}`, () => {
  const schemas = postgresSchemas()

  it.scopedLive("does not start, and says what to install", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      // Where no package can be found.
      const program = programIn(folder)
      const settings = { QUEUE: "pg-boss", DATABASE_URL: yield* schemas }
      const { code, stderr, stdout } = yield* failToStart(folder, settings, program)
      assert.strictEqual(code, 1)
      assert.match(
        `${stdout}${stderr}`,
        /QUEUE: pg-boss is not installed; npm install pg-boss@\d+\.\d+\.\d+, or leave QUEUE out/
      )
    })
  )
})
