import * as Fs from "node:fs"
import * as Path from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, it } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, Layer, Schedule } from "effect"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { loadDriver } from "../../../src/store/sqlite/SqliteDriver.ts"
import { longTest } from "../../support/Limits.ts"
import { anInsert, config, sqlRepo, temporaryFolder } from "../../support/TestLayers.ts"

const Sqlite = loadDriver()

const megabytes = 1024 * 1024

it.scopedLive(
  "a -wal that a long reader made grow is cut down when that ends, also after a restart, and orders go on",
  () =>
    Effect.gen(function* () {
      const databaseFile = Path.join(yield* temporaryFolder, "orders.db")
      const running = Layer.provideMerge(sqlRepo, config({ databaseFile }))
      const walSize = Effect.sync(() => Fs.statSync(`${databaseFile}-wal`).size)
      const reader = yield* Effect.acquireRelease(
        Effect.sync(() => new Sqlite(databaseFile)),
        (reader) => Effect.sync(() => reader.close())
      )
      let id = 0
      // Orders go on all the while.
      const untilShort = Effect.flatMap(OrdersRepo, (repo) => repo.write([anInsert(++id)])).pipe(
        Effect.zipRight(walSize),
        Effect.repeat({ until: (size) => size < 8 * megabytes, schedule: Schedule.spaced("1 millis") }),
        Effect.timeout("100 seconds")
      )
      const grow = Effect.gen(function* () {
        const repo = yield* OrdersRepo
        reader.exec("BEGIN")
        reader.prepare("SELECT count(*) FROM orders").get()
        while ((yield* walSize) < 80 * megabytes) {
          yield* repo.write(Arr.makeBy(500, () => anInsert(++id, { metadata: { text: "x".repeat(8000) } })))
        }
        return repo
      })
      yield* Effect.gen(function* () {
        const repo = yield* grow
        // More than one look at it, in vain.
        yield* Effect.sleep("1500 millis")
        assert.isAtLeast(yield* walSize, 80 * megabytes)
        reader.exec("COMMIT")
        yield* untilShort
        yield* repo.write([anInsert(++id)])
        const sql = yield* SqlClient.SqlClient
        yield* Effect.repeat(sql`PRAGMA wal_autocheckpoint`.values, {
          until: (rows) => rows[0]?.[0] === 1000,
          schedule: Schedule.spaced("50 millis")
        }).pipe(Effect.timeout("100 seconds"))
        yield* grow
        assert.isFalse(yield* Deferred.isDone(repo.fault))
      }).pipe(Effect.provide(running))
      // The reader is still there, so what it needs was left behind.
      assert.isAtLeast(yield* walSize, 80 * megabytes)
      yield* Effect.gen(function* () {
        reader.exec("COMMIT")
        yield* untilShort
        const repo = yield* OrdersRepo
        assert.strictEqual((yield* repo.totals).Pending, id)
        assert.isFalse(yield* Deferred.isDone(repo.fault))
      }).pipe(Effect.provide(running))
    }),
  longTest
)
