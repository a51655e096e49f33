import { spawnSync } from "node:child_process"
import { assert } from "@effect/vitest"

/** Whether Prometheus's own tool is there (Debian: `apt-get install prometheus`). Without it what needs it is skipped. */
export const hasPromtool = spawnSync("promtool", ["--version"]).status === 0

/** What the name of a test that needs it ends in. */
export const unlessPromtool = hasPromtool ? "" : " (no promtool found: it is part of Prometheus)"

/** Runs it, and has it find nothing: lint prints what it finds even where it succeeds. */
export const promtool = (args: ReadonlyArray<string>, input = "") => {
  const { status, stderr, stdout } = spawnSync("promtool", args, { input, encoding: "utf8" })
  assert.strictEqual(status, 0, `${stdout}${stderr}`)
  return `${stdout}${stderr}`
}
