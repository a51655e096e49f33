import { execFileSync } from "node:child_process"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readRegularFile, reasonOf } from "../src/RegularFile.ts"
import { temporaryFolder } from "./support/TestLayers.ts"

describe("A pipe in the place of a file", () => {
  it.scoped("is refused, and not waited for", () =>
    Effect.gen(function* () {
      const pipe = Path.join(yield* temporaryFolder, "pipe")
      execFileSync("mkfifo", [pipe])
      const cause = yield* Effect.flip(Effect.try(() => readRegularFile(pipe, 1024)))
      assert.strictEqual(reasonOf(cause.error), "not a regular file")
    })
  )
})
