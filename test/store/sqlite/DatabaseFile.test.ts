import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import type { Database } from "better-sqlite3"
import { Array as Arr, Deferred, Effect, Layer, Logger, LogLevel, TestClock } from "effect"
import { AppConfig } from "../../../src/AppConfig.ts"
import { StorageUnavailable } from "../../../src/order/Order.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { driverPath, loadDriver } from "../../../src/store/sqlite/SqliteDriver.ts"
import { until } from "../../support/CliProcess.ts"
import { aNewOrder, post, startService } from "../../support/ServiceProcess.ts"
import { anInsert, config, sqlRepo, temporaryFolder } from "../../support/TestLayers.ts"

const Sqlite = loadDriver()

const write = (...ids: Arr.NonEmptyReadonlyArray<number>) =>
  Effect.flatMap(OrdersRepo, (repo) => repo.write(Arr.map(ids, (id) => anInsert(id))))

const connect = <A>(file: string, use: (db: Database) => A) => {
  const db = new Sqlite(file)
  try {
    return use(db)
  } finally {
    db.close()
  }
}

/** A few pages over the automatic checkpoint, so that the database file itself is written. */
const writeALot = Effect.flatMap(OrdersRepo, (repo) =>
  repo.write(Arr.makeBy(600, (index) => anInsert(1000 + index, { metadata: { text: "x".repeat(8000) } })))
)

const vacuumed = (file: string) => {
  connect(file, (db) => db.exec(`VACUUM INTO '${file}.copy'`))
  return `${file}.copy`
}

const replaced = "^FILE was replaced$"
const written = "^FILE was written to, or touched, by another program$"
const truncated = "^FILE was truncated$"

/** What is done to the files of a database that is in use, and what is said of it. */
const mishaps: Record<string, readonly [happens: (file: string) => void, what: string]> = {
  "is deleted": [(file) => Fs.rmSync(file), "^FILE was deleted$"],
  "is moved away": [(file) => Fs.renameSync(file, `${file}.old`), "^FILE was deleted$"],
  "goes with its folder": [(file) => Fs.rmSync(Path.dirname(file), { recursive: true }), "^FILE was deleted$"],
  "is replaced by another": [(file) => Fs.renameSync(vacuumed(file), file), replaced],
  "is replaced by its own copy": [
    (file) => {
      Fs.copyFileSync(file, `${file}.copy`)
      Fs.renameSync(`${file}.copy`, file)
    },
    replaced
  ],
  "has a backup copied over it": [(file) => Fs.copyFileSync(vacuumed(file), file), "^FILE was (written|truncated)"],
  "has its own copy copied over it": [
    (file) => {
      Fs.copyFileSync(file, `${file}.copy`)
      Fs.copyFileSync(`${file}.copy`, file)
    },
    written
  ],
  "is truncated to nothing": [(file) => Fs.truncateSync(file), truncated],
  "is truncated by a page": [(file) => Fs.truncateSync(file, Fs.statSync(file).size - 4096), truncated],
  "has a page written into it": [
    (file) => {
      const fd = Fs.openSync(file, "r+")
      Fs.writeSync(fd, Buffer.alloc(64, 0xff), 0, 64, 4096)
      Fs.closeSync(fd)
    },
    written
  ],
  "loses its -wal": [(file) => Fs.rmSync(`${file}-wal`), "^FILE-wal was deleted$"],
  "has its -wal truncated": [(file) => Fs.truncateSync(`${file}-wal`), "^FILE-wal was truncated$"],
  "loses its -shm": [(file) => Fs.rmSync(`${file}-shm`), "^FILE-shm was deleted$"],
  "loses its lock": [(file) => Fs.rmSync(`${file}.lock`), "^FILE.lock was deleted$"]
}

describe.each(Object.entries(mishaps))("a database that %s", (title, [happens, what]) => {
  const test = (title: string, populate: Effect.Effect<unknown, StorageUnavailable, OrdersRepo>, idle: boolean) =>
    it.scoped(title, () =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const logged = Layer.merge(
          Logger.add(Logger.make(({ message }) => void lines.push(String(message)))),
          Logger.minimumLogLevel(LogLevel.Error)
        )
        yield* Effect.gen(function* () {
          const { databaseFile } = yield* AppConfig
          const file = Fs.realpathSync(databaseFile)
          const repo = yield* OrdersRepo
          yield* populate
          yield* write(1)
          // Coarse clocks of file systems.
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
          happens(file)
          if (idle) yield* TestClock.adjust("1 second")
          else assert.instanceOf(yield* Effect.flip(write(2)), StorageUnavailable)
          assert.isTrue(yield* Deferred.isDone(repo.fault))
          assert.match((yield* Deferred.await(repo.fault)).replaceAll(file, "FILE"), new RegExp(what))
          assert.instanceOf(yield* Effect.flip(write(3)), StorageUnavailable)
          yield* TestClock.adjust("10 seconds")
          const told = lines.filter((line) => line.startsWith("No order is taken until a restart: "))
          assert.lengthOf(told, 1)
          assert.match(told[0] ?? "", /(Stop this service|stop both)/)
        }).pipe(Effect.provide(sqlRepo.pipe(Layer.provideMerge(logged), Layer.provideMerge(config()))))
      })
    )

  // What is acknowledged is safe without these two.
  if (!/-shm|lock/.test(title)) {
    test("takes no order any more", writeALot, false)
    test("takes none while all of it is still in the -wal", Effect.void, false)
  }
  test("is noticed within a second when nothing is written", writeALot, true)
})

it.scoped("a database that others read, checkpoint and write to by SQLite goes on", () =>
  Effect.gen(function* () {
    const { databaseFile } = yield* AppConfig
    const repo = yield* OrdersRepo
    let id = 1
    const goesOn = Effect.suspend(() => Effect.zipRight(TestClock.adjust("1 second"), write(id++)))
    yield* goesOn
    for (const statements of [
      "SELECT count(*) FROM orders",
      "PRAGMA wal_checkpoint(PASSIVE)",
      "PRAGMA wal_checkpoint(TRUNCATE)",
      `VACUUM INTO '${databaseFile}.copy'`,
      "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); DROP TABLE _litestream_seq",
      "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"
    ]) {
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
      connect(databaseFile, (db) => db.exec(statements))
      yield* goesOn
      yield* goesOn
    }
    yield* writeALot
    yield* goesOn
    assert.isFalse(yield* Deferred.isDone(repo.fault))
  }).pipe(Effect.provide(Layer.provideMerge(sqlRepo, config())))
)

it.scopedLive("a database that another program checkpoints all the time goes on", () =>
  Effect.gen(function* () {
    const { databaseFile } = yield* AppConfig
    const repo = yield* OrdersRepo
    yield* write(1)
    const program = `
      const { workerData: { driver, file } } = require("node:worker_threads")
      const db = new (require(driver))(file)
      for (;;) db.pragma("wal_checkpoint(PASSIVE)")`
    const checkpoints = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(program, { eval: true, workerData: { driver: driverPath(), file: databaseFile } })),
      (worker) => Effect.promise(() => worker.terminate())
    )
    yield* Effect.promise(() => once(checkpoints, "online"))
    for (let id = 2; id < 2000; id++) yield* write(id)
    assert.isFalse(yield* Deferred.isDone(repo.fault))
  }).pipe(Effect.provide(Layer.provideMerge(sqlRepo, config())))
)

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
      assert.match(output.stdout, /No order is taken until a restart: [^"]*orders.db is damaged/)
    })
  )
})
