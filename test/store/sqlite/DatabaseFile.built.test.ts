import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect, vacuumed } from "../../support/Database.ts"
import { aNewOrder, post, startService } from "../../support/ServiceProcess.ts"
import { temporaryFolder } from "../../support/TestLayers.ts"
import { until } from "../../support/Until.ts"

describe("the service", () => {
  const ready = (url: string) =>
    Effect.promise(async () => {
      const answer = await fetch(`${url}/readyz`)
      return [answer.status, await answer.text()] as const
    })
  const submit = (url: string, id: number) =>
    Effect.promise(() => post(url, aNewOrder(id)).then(({ status }) => status))

  it.scopedLive("whose database is deleted refuses orders, is not ready, says so once, and ends in order", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { child, exited, output, url } = yield* startService(folder, {
        PROCESSING_TIME: "1 minute",
        SHUTDOWN_GRACE: "0 millis"
      })
      assert.strictEqual(yield* submit(url, 1), 202)
      const file = Path.join(folder, "data/orders.db")
      Fs.rmSync(file)
      assert.strictEqual(yield* submit(url, 2), 503)
      const [status, text] = yield* ready(url)
      assert.strictEqual(status, 503)
      assert.match(text, /the database is lost or damaged/)
      // What was committed can still be read.
      const found = yield* Effect.promise(() => fetch(`${url}/api/order/1`).then(({ status }) => status))
      assert.strictEqual(found, 200)
      child.kill("SIGTERM")
      assert.strictEqual(yield* exited, 0)
      assert.lengthOf([...output.stdout.matchAll(/No order is taken until a restart: [^"]*orders.db was deleted/g)], 1)
      assert.isFalse(Fs.existsSync(file))
    })
  )

  it.scopedLive("is not ready soon after its database was replaced, though nobody sends an order", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { url } = yield* startService(folder)
      const file = Path.join(folder, "data/orders.db")
      Fs.renameSync(vacuumed(file), file)
      yield* until(async () => (await fetch(`${url}/readyz`)).status === 503)
      assert.strictEqual(yield* submit(url, 1), 503)
    })
  )

  it.scopedLive("whose -wal was deleted writes what was in it into the database when it ends", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { child, exited, url } = yield* startService(folder)
      for (const id of [1, 2, 3]) assert.strictEqual(yield* submit(url, id), 202)
      const file = Path.join(folder, "data/orders.db")
      Fs.rmSync(`${file}-wal`)
      assert.strictEqual(yield* submit(url, 4), 503)
      child.kill("SIGTERM")
      assert.strictEqual(yield* exited, 0)
      assert.deepStrictEqual(
        connect(file, (db) => db.prepare("SELECT count(*) FROM orders WHERE order_id < 4").pluck().get()),
        3
      )
    })
  )

  it.scopedLive("that meets a damaged page takes no order from then on", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { output, url } = yield* startService(folder, { PROCESSING_TIME: "0 millis" })
      yield* submit(url, 1)
      const file = Path.join(folder, "data/orders.db")
      // As damage on the disk is: nobody has written to the file.
      const root = connect(file, (db) => {
        db.pragma("wal_checkpoint(TRUNCATE)")
        return Number(db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'orders_user'").pluck().get())
      })
      const { atime, mtime } = Fs.statSync(file)
      const fd = Fs.openSync(file, "r+")
      Fs.writeSync(fd, Buffer.alloc(4096, 0xa5), 0, 4096, (root - 1) * 4096)
      Fs.futimesSync(fd, atime, mtime)
      Fs.closeSync(fd)
      const answer = yield* Effect.promise(() => fetch(`${url}/api/orders?user_id=8`).then(({ status }) => status))
      assert.strictEqual(answer, 503, output.stdout)
      assert.strictEqual(yield* submit(url, 2), 503)
      assert.strictEqual((yield* ready(url))[0], 503)
      // The log comes by a pipe, after the answer.
      yield* until(() => /No order is taken until a restart: [^"]*orders.db is damaged/.test(output.stdout))
    })
  )
})
