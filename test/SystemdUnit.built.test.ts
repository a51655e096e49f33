import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import packageJson from "../package.json" with { type: "json" }
import { aNewOrder, post, startService } from "./support/ServiceProcess.ts"
import { temporaryFolder } from "./support/TestLayers.ts"

const unit = "examples/systemd/orders.service"
const lines = Fs.readFileSync(unit, "utf8").split("\n")
const given = (name: string) => lines.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1) ?? ""

const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0
const missing = hasSystemd ? "" : " (skipped: no systemd-analyze, which Debian's package systemd brings)"

describe("the unit for systemd", () => {
  it.skipIf(!hasSystemd)(`has no fault that systemd finds${missing}`, () => {
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit], { encoding: "utf8" })
    // Where Node is somewhere else, that is so.
    const faults = stderr.split("\n").filter((line) => line !== "" && !line.includes("/usr/bin/node"))
    assert.deepStrictEqual(faults, [])
    if (Fs.existsSync("/usr/bin/node")) assert.strictEqual(status, 0)
  })

  it.scopedLive("starts the service as npm does, with the settings that it names", () =>
    Effect.gen(function* () {
      const [node, ...args] = given("ExecStart").split(" ")
      assert.strictEqual(node, "/usr/bin/node")
      assert.isTrue(packageJson.scripts.start.endsWith(`exec node ${args.join(" ").replace("/opt/orders/", "")}`))

      const folder = yield* temporaryFolder
      const state = given("WorkingDirectory")
      assert.strictEqual(state, `/var/lib/${given("StateDirectory")}`)
      const settings = Object.fromEntries(
        given("Environment")
          .split(" ")
          .map((pair) => pair.replace(state, folder).split("="))
      )
      const service = yield* startService(folder, settings)
      assert.strictEqual((yield* Effect.promise(() => post(service.url, aNewOrder(1)))).status, 202)
      assert.isTrue(Fs.existsSync(Path.join(folder, "orders.db")))
      service.child.kill("SIGTERM")
      assert.strictEqual(yield* service.exited, 0)
    })
  )
})
