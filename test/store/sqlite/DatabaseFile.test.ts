import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, Layer, Logger, LogLevel } from "effect"
import { AppConfig } from "../../../src/AppConfig.ts"
import { StorageUnavailable } from "../../../src/order/Order.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { driverPath } from "../../../src/store/sqlite/SqliteDriver.ts"
import { connect, vacuumed } from "../../support/Database.ts"
import { adjust, jumping } from "../../support/JumpingClock.ts"
import { longTest } from "../../support/Limits.ts"
import { anInsert, config, sqlRepo } from "../../support/TestLayers.ts"

const write = (...ids: Arr.NonEmptyReadonlyArray<number>) =>
  Effect.flatMap(OrdersRepo, (repo) => repo.write(Arr.map(ids, (id) => anInsert(id))))

/** A few pages over the automatic checkpoint, so that the database file itself is written. */
const many = Arr.makeBy(600, (index) => anInsert(1000 + index, { metadata: { text: "x".repeat(8000) } }))
const writeALot = Effect.flatMap(OrdersRepo, (repo) => repo.write(many))

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
          if (idle) yield* adjust("1 second")
          else assert.instanceOf(yield* Effect.flip(write(2)), StorageUnavailable)
          assert.isTrue(yield* Deferred.isDone(repo.fault))
          assert.match((yield* Deferred.await(repo.fault)).replaceAll(file, "FILE"), new RegExp(what))
          assert.instanceOf(yield* Effect.flip(write(3)), StorageUnavailable)
          yield* adjust("10 seconds")
          const told = lines.filter((line) => line.startsWith("No order is taken until a restart: "))
          assert.lengthOf(told, 1)
          assert.match(told[0] ?? "", /(Stop this service|stop both)/)
        }).pipe(Effect.provide(sqlRepo.pipe(Layer.provideMerge(logged), Layer.provideMerge(config()))), jumping)
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
    const goesOn = Effect.suspend(() => Effect.zipRight(adjust("1 second"), write(id++)))
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
  }).pipe(Effect.provide(Layer.provideMerge(sqlRepo, config())), jumping)
)

it.scopedLive(
  "a database that another program checkpoints all the time goes on",
  () =>
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      const repo = yield* OrdersRepo
      yield* write(1)
      const program = `
      const { workerData: { driver, file } } = require("node:worker_threads")
      const db = new (require(driver))(file)
      for (;;) db.pragma("wal_checkpoint(PASSIVE)")`
      const checkpoints = yield* Effect.acquireRelease(
        Effect.sync(
          () => new Worker(program, { eval: true, workerData: { driver: driverPath(), file: databaseFile } })
        ),
        (worker) => Effect.promise(() => worker.terminate())
      )
      yield* Effect.promise(() => once(checkpoints, "online"))
      for (let id = 2; id < 700; id++) yield* write(id)
      assert.isFalse(yield* Deferred.isDone(repo.fault))
    }).pipe(Effect.provide(Layer.provideMerge(sqlRepo, config()))),
  longTest
)
