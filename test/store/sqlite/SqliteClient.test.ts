import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Reactivity from "@effect/experimental/Reactivity"
import type { SqlClient } from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, TestClock } from "effect"
import * as SqliteClient from "../../../src/store/sqlite/SqliteClient.ts"
import { loadDriver } from "../../../src/store/sqlite/SqliteDriver.ts"
import { temporaryFolder } from "../../support/TestLayers.ts"

const test = <E>(title: string, body: (sql: SqlClient) => Effect.Effect<void, E>) =>
  it.scoped(title, () => Effect.flatMap(SqliteClient.make(":memory:"), body).pipe(Effect.provide(Reactivity.layer)))

describe("the SQLite client", () => {
  test("gives a statement's rows as objects, as values, and what a write without rows changed", (sql) =>
    Effect.gen(function* () {
      const rows = sql`SELECT 1 AS one, 'a' AS letter`
      for (const _ of [1, 2]) {
        assert.deepStrictEqual(yield* rows, [{ one: 1, letter: "a" }])
        assert.deepStrictEqual(yield* rows.values, [[1, "a"]])
        assert.deepStrictEqual(yield* rows.unprepared, [{ one: 1, letter: "a" }])
        assert.deepStrictEqual(yield* rows.raw, [{ one: 1, letter: "a" }])
      }
      yield* sql`CREATE TABLE t (id)`
      assert.deepStrictEqual(yield* sql`INSERT INTO t VALUES (${1}), (${2})`, [])
      assert.deepStrictEqual(yield* sql`INSERT INTO t VALUES (${3})`.values, [])
      assert.include(yield* sql`DELETE FROM t`.raw, { changes: 3 })
    }))

  test("goes on when more different statements came than it keeps prepared", (sql) =>
    Effect.gen(function* () {
      for (const round of [1, 2]) {
        for (let number = 0; number < 500; number++) {
          const rows = yield* sql`SELECT ${sql.literal(String(number))} + ${round} AS sum`
          assert.deepStrictEqual(rows, [{ sum: number + round }])
        }
      }
    }))

  test("lets others wait while a transaction has the connection; who gives up waiting takes nothing", (sql) =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      yield* sql`CREATE TABLE t (id)`
      const holder = yield* Effect.scoped(
        Effect.flatMap(sql.reserve, (connection) =>
          Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(goOn)).pipe(
            Effect.zipRight(connection.execute("INSERT INTO t VALUES (1)", [], undefined))
          )
        )
      ).pipe(Effect.fork)
      yield* Deferred.await(begun)
      const impatient = yield* Effect.fork(Effect.scoped(sql.reserve))
      const reader = yield* Effect.fork(sql<{ id: number }>`SELECT id FROM t`)
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(impatient)
      yield* Deferred.succeed(goOn, undefined)
      yield* Fiber.join(holder)
      assert.deepStrictEqual(yield* Fiber.join(reader), [{ id: 1 }])
      assert.deepStrictEqual(yield* Effect.scoped(Effect.as(sql.reserve, "free")), "free")
    }))

  test("fails with the driver's error and its code", (sql) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(sql`SELECT * FROM missing`)
      assert.strictEqual(error._tag, "SqlError")
      assert.include(error.cause, { code: "SQLITE_ERROR" })
    }))

  it.scoped("does not wait for another program that has the database, and reads again when that is done", () =>
    Effect.gen(function* () {
      const file = Path.join(yield* temporaryFolder, "orders.db")
      const Driver = loadDriver()
      const other = yield* Effect.acquireRelease(
        Effect.sync(() => new Driver(file)),
        (other) => Effect.sync(() => other.close())
      )
      other.exec("CREATE TABLE t (id)")
      other.exec("BEGIN EXCLUSIVE")
      const sql = yield* SqliteClient.make(file)
      assert.deepStrictEqual(yield* sql`PRAGMA busy_timeout`, [{ timeout: 0 }])
      const rows = sql`SELECT * FROM t`
      assert.include((yield* Effect.flip(rows)).cause, { code: "SQLITE_BUSY" })
      other.exec("COMMIT")
      yield* TestClock.adjust("1001 millis")
      assert.deepStrictEqual(yield* rows, [])
    }).pipe(Effect.provide(Reactivity.layer))
  )

  it.scoped("changes nothing in a file it opens", () =>
    Effect.gen(function* () {
      const file = Path.join(yield* temporaryFolder, "orders.db")
      const sql = yield* SqliteClient.make(file)
      yield* sql`SELECT * FROM sqlite_schema`
      assert.strictEqual((yield* Effect.promise(() => Fs.stat(file))).size, 0)
    }).pipe(Effect.provide(Reactivity.layer))
  )
})
