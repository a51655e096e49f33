import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { startCli } from "../support/CliProcess.ts"
import { connect } from "../support/Database.ts"
import { startService } from "../support/ServiceProcess.ts"
import { copyOf, temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

/** A database whose totals SQLite works at for longer than anyone waits: it never looks up meanwhile. */
const endless = copyOf(
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const { child, exited } = yield* startService(folder)
    child.kill("SIGTERM")
    yield* exited
    connect(Path.join(folder, "data/orders.db"), (db) => {
      db.exec(`
        DROP TABLE totals;
        CREATE TABLE totals (id, processing, completed, failed, cancelled, processing_ms, failure_codes, retention_at);
        INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0, 0, 0);
        ALTER TABLE totals
        ADD COLUMN pending AS (instr(hex(zeroblob(id * 4000000)), hex(zeroblob(id * 2000000)) || '1'))`)
      db.pragma("wal_checkpoint(TRUNCATE)")
    })
    return folder
  })
)

const childrenOf = (pid: number | undefined) =>
  Fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .split(" ")
    .filter((pid) => pid !== "")

/** How much of a processor a process has used so far, in hundredths of a second. */
const usedBy = (pid: string) => {
  const [, , , , , , , , , , , , user = "0"] = Fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(" ").slice(1)
  return Number(user)
}

const isGone = (pid: string) => {
  try {
    return / Z /.test(Fs.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return true
  }
}

describe("orders doctor, at work on a file that never ends", () => {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143]
  ] as const) {
    it.scopedLive(`is ended by ${signal}, and leaves nothing behind`, () =>
      Effect.gen(function* () {
        const folder = yield* endless
        const files = () => Fs.readdirSync(Path.join(folder, "data")).filter((name) => !/-(wal|shm)$/.test(name))
        const before = files()
        const doctor = yield* startCli(["doctor"], { folder, env: { DATABASE_URL: "file:data/orders.db" } })
        yield* until(
          () => childrenOf(doctor.child.pid).length > 0 && Fs.existsSync(Path.join(folder, "data/orders.db-shm"))
        )
        const [worker = ""] = childrenOf(doctor.child.pid)
        const used = usedBy(worker)
        yield* until(() => usedBy(worker) > used + 50)
        const begin = performance.now()
        doctor.child.kill(signal)
        const ended = yield* doctor.ended
        assert.deepStrictEqual(ended, { code, stdout: "", stderr: "" })
        // A second, and more of it where the machine is busy with other tests.
        assert.isBelow(performance.now() - begin, 5000)
        yield* until(() => isGone(worker))
        assert.deepStrictEqual(files(), before)
      })
    )
  }
})
