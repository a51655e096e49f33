import * as Reactivity from "@effect/experimental/Reactivity"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import * as SqliteClient from "../src/SqliteClient.ts"

const test = <E>(title: string, body: (sql: SqliteClient.SqliteClient) => Effect.Effect<void, E>) =>
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
      for (const statement of [sql`SELECT * FROM missing`, sql`SELECT * FROM missing`.unprepared]) {
        const error = yield* Effect.flip(statement)
        assert.strictEqual(error._tag, "SqlError")
        assert.include(error.cause, { code: "SQLITE_ERROR" })
      }
    }))
})
