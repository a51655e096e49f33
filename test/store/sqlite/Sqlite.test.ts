import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Migrator from "@effect/sql-sqlite-node/SqliteMigrator"
import { assert, describe, it } from "@effect/vitest"
import { Cause, DateTime, Deferred, Effect, Exit, Fiber, Layer, Option, type Scope, TestClock } from "effect"
import { AppConfig } from "../../../src/AppConfig.ts"
import { OrderId, StorageUnavailable } from "../../../src/order/Order.ts"
import { RowKey } from "../../../src/order/OrderChange.ts"
import { StartupError } from "../../../src/StartupError.ts"
import { Command, Outcome, Result } from "../../../src/store/Command.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { migrations } from "../../../src/store/sqlite/Migrations.ts"
import { SqlLive } from "../../../src/store/sqlite/Sqlite.ts"
import * as SqliteClient from "../../../src/store/sqlite/SqliteClient.ts"
import { loadDriver } from "../../../src/store/sqlite/SqliteDriver.ts"
import { makeOrUnavailable } from "../../../src/store/sqlite/SqliteErrors.ts"
import { transaction } from "../../../src/store/sqlite/Transaction.ts"
import { config, sqlRepo, temporaryFolder } from "../../support/TestLayers.ts"
import { turns } from "../../support/Until.ts"

const test = <E>(title: string, body: Effect.Effect<void, E, SqlClient.SqlClient | AppConfig | Scope.Scope>) =>
  it.scoped(title, () => body.pipe(Effect.provide(Layer.provideMerge(SqlLive, config()))))

const Database = loadDriver()

/** Another connection to a database, as another program has it. */
const connect = (file: string) =>
  Effect.acquireRelease(
    Effect.sync(() => new Database(file)),
    (database) => Effect.sync(() => database.close())
  )

const table = Effect.tap(SqlClient.SqlClient, (sql) => sql`CREATE TABLE t (id INTEGER PRIMARY KEY, filler TEXT)`)
const idsOf = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ id: number }>`SELECT id FROM t ORDER BY id`, (rows) => rows.map(({ id }) => id))

describe("the file", () => {
  const modes = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [synchronous] = yield* sql`PRAGMA synchronous`.values
    const [journal] = yield* sql`PRAGMA journal_mode`.values
    return [synchronous, journal].flat()
  })
  const full = [2, "wal"]

  it.effect("syncs each commit: at the start, after writes and when opened again", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(yield* modes, full)
        const sql = yield* table
        yield* transaction(sql, sql`INSERT INTO t (id) VALUES (1)`)
        yield* sql`INSERT INTO t (id) VALUES (2)`
        assert.deepStrictEqual(yield* modes, full)
      }).pipe(Effect.provide(SqlLive))
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(yield* modes, full)
        const sql = yield* SqlClient.SqlClient
        assert.deepStrictEqual(yield* idsOf(sql), [1, 2])
        yield* sql`INSERT INTO t (id) VALUES (3)`
        assert.deepStrictEqual(yield* modes, full)
      }).pipe(Effect.provide(SqlLive))
    }).pipe(Effect.provide(config()))
  )

  it.effect("has run every migration there is in the folder", () =>
    Effect.gen(function* () {
      const files = yield* Effect.promise(() =>
        Fs.readdir(new URL("../../../src/store/sqlite/migrations", import.meta.url))
      )
      assert.deepStrictEqual(
        Object.keys(migrations).map((name) => `${name}.ts`),
        files.sort()
      )
      const sql = yield* SqlClient.SqlClient
      const applied = yield* sql`SELECT migration_id, name FROM effect_sql_migrations ORDER BY migration_id`.values
      assert.deepStrictEqual(
        applied.map(([id, name]) => `${String(id).padStart(4, "0")}_${name}.ts`),
        files.sort()
      )
    }).pipe(Effect.provide(Layer.provideMerge(SqlLive, config())))
  )

  it.scoped(
    "of a version that did not keep for how long orders wait is brought up to date, and they wait no longer",
    () =>
      Effect.gen(function* () {
        const { databaseFile } = yield* AppConfig
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`PRAGMA journal_mode = WAL`.unprepared
          yield* sql`PRAGMA application_id = ${sql.literal(String(0x4f524452))}`.unprepared
          yield* Migrator.make({})({ loader: Migrator.fromRecord({ "0001_orders": migrations["0001_orders"] }) })
          const failedAt = (time: string) => `{"code":"busy","message":"no","attempt":1,"at":"1970-01-01T00:${time}Z"}`
          // Two as they should be, and two as a clock left them that was ahead by an hour less a minute.
          yield* sql`
          INSERT INTO orders (
            order_id, status, user_id, item_ids, total_amount, run, attempts, accepted_at, due_at, last_error
          )
          VALUES
            ('new', 'Pending', '1', '["1"]', 1, 0, 0, 0, 0, NULL),
            ('waits', 'Pending', '1', '["1"]', 1, 1, 1, 0, 21000, ${failedAt("00:01.000")}),
            ('new-ahead', 'Pending', '1', '["1"]', 1, 0, 0, 3540000, 3540000, NULL),
            ('waits-ahead', 'Pending', '1', '["1"]', 1, 1, 1, 3540000, 3550123, ${failedAt("59:05.120")})`
          yield* sql`UPDATE totals SET pending = 4`
        }).pipe(
          Effect.provide(Layer.scoped(SqlClient.SqlClient, SqliteClient.make(databaseFile))),
          Effect.provide(Reactivity.layer)
        )
        yield* TestClock.setTime(2000)
        yield* Effect.gen(function* () {
          const repo = yield* OrdersRepo
          const { results } = yield* repo.write([Command.Rebase({ by: 0, after: 0, until: 4, limit: 9 })])
          assert.deepStrictEqual(results, [Result.Rebased({ count: 2, next: Option.none() })])
          const { nextDueAt, ready } = yield* repo.window("open", 9)
          assert.deepStrictEqual([ready, nextDueAt], [[1, 3], Option.some(7003)])
          const { next_attempt_at } = yield* Effect.flatten(repo.find(OrderId.make("waits")))
          assert.deepStrictEqual(next_attempt_at, Option.some(DateTime.unsafeMake(21_000)))
        }).pipe(Effect.provide(sqlRepo))
      }).pipe(Effect.provide(config()))
  )

  it.scoped("of an earlier version is brought up to date, and its orders are worked", () =>
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      // As the first version left it: with its one migration, and orders in every status.
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`PRAGMA journal_mode = WAL`.unprepared
        yield* sql`PRAGMA application_id = ${sql.literal(String(0x4f524452))}`.unprepared
        yield* Migrator.make({})({ loader: Migrator.fromRecord({ "0001_orders": migrations["0001_orders"] }) })
        const columns = yield* sql<{ name: string }>`SELECT name FROM pragma_table_info('orders')`
        assert.notIncludeMembers(
          columns.map(({ name }) => name),
          ["round", "traceparent"]
        )
        const error = '{"code":"no_stock","message":"no","attempt":2,"at":"1970-01-01T00:00:00.000Z"}'
        yield* sql`
          INSERT INTO orders (
            order_id, status, user_id, item_ids, total_amount, run, attempts, accepted_at, due_at, started_at,
            finished_at, last_error
          )
          VALUES
            ('new', 'Pending', '1', '["1"]', 2507000, 0, 0, 0, 0, NULL, NULL, NULL),
            ('lost', 'Processing', '1', '["1"]', 2507000, 3, 2, 0, 0, 0, NULL, NULL),
            ('failed', 'Failed', '1', '["1"]', 2507000, 5, 2, 0, 0, 0, 0, ${error}),
            ('done', 'Completed', '1', '["1"]', 2507000, 1, 1, 0, 0, 0, 0, NULL)`
        yield* sql`UPDATE totals SET pending = 1, processing = 1, failed = 1, completed = 1`
      }).pipe(
        Effect.provide(Layer.scoped(SqlClient.SqlClient, SqliteClient.make(databaseFile))),
        Effect.provide(Reactivity.layer)
      )

      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const applied = yield* sql`SELECT migration_id FROM effect_sql_migrations ORDER BY migration_id`.values
        assert.deepStrictEqual(
          applied.flat(),
          Object.keys(migrations).map((name) => Number.parseInt(name, 10))
        )
        const repo = yield* OrdersRepo
        const { failures, other } = yield* repo.failures
        assert.deepStrictEqual(
          failures.map(({ count, error_code }) => [error_code, count]),
          [["no_stock", 1]]
        )
        assert.deepStrictEqual({ ...other }, { count: 0, groups: 0 })
        const ofThen = { accepted_before: DateTime.unsafeMake(1) }
        assert.deepStrictEqual(
          (yield* repo.list(ofThen, Option.none(), 9)).found.map(({ key }) => key),
          [4, 3, 2, 1]
        )
        const { results } = yield* repo.write([
          Command.Recover({ maxAttempts: 9 }),
          Command.Reopen({ order_id: OrderId.make("failed"), by: Option.none() }),
          ...[1, 2, 3, 4].map((key) => Command.Claim({ key: RowKey(key), job: Option.none() }))
        ])
        assert.deepStrictEqual(
          results.flatMap((result) =>
            result._tag === "Claimed"
              ? [{ key: result.claim.key, run: result.claim.run, round: result.claim.round }]
              : []
          ),
          [
            { key: 1, run: 1, round: 1 },
            { key: 2, run: 4, round: 1 },
            { key: 3, run: 6, round: 2 }
          ]
        )
        assert.isTrue(results.every((result) => result._tag !== "Claimed" || Option.isNone(result.claim.traceparent)))
        const at = yield* DateTime.now
        const outcome = Outcome.Completed({ result: Option.none() })
        yield* repo.write([
          Command.Record({ key: RowKey(1), run: 1, outcome, at, took: 0 }),
          Command.Record({ key: RowKey(2), run: 4, outcome, at, took: 0 }),
          Command.Record({ key: RowKey(3), run: 6, outcome, at, took: 0 })
        ])
        assert.strictEqual((yield* repo.totals).Completed, 4)
        for (const id of ["new", "lost", "failed", "done"]) {
          const order = yield* Effect.flatten(repo.find(OrderId.make(id)))
          assert.strictEqual(order.status, "Completed", id)
        }
      }).pipe(Effect.provide(sqlRepo))
      // Once more: there is nothing left to do.
      yield* Effect.scoped(Layer.build(SqlLive))
    }).pipe(Effect.provide(config()))
  )

  it.scoped("is made with the folders it lies in", () =>
    Effect.gen(function* () {
      const databaseFile = Path.join(yield* temporaryFolder, "a", "b", "orders.db")
      yield* Layer.build(SqlLive).pipe(Effect.provide(config({ databaseFile })), Effect.scoped)
      assert.isAbove((yield* Effect.promise(() => Fs.stat(databaseFile))).size, 0)
    })
  )
})

describe("a start that cannot be", () => {
  const refused = (databaseFile: string, why: RegExp) =>
    Effect.gen(function* () {
      const error = yield* Layer.build(SqlLive).pipe(
        Effect.scoped,
        Effect.flip,
        Effect.provide(config({ databaseFile }))
      )
      assert.instanceOf(error, StartupError)
      assert.lengthOf(error.lines, 1)
      assert.match(error.message, /^DATABASE_URL: .*$/)
      assert.include(error.message, databaseFile)
      assert.match(error.message, why)
    })

  const refusal = (
    title: string,
    prepare: (file: string) => Effect.Effect<void, unknown, Scope.Scope>,
    why: RegExp,
    unchanged = true
  ) =>
    it.scoped(title, () =>
      Effect.gen(function* () {
        const file = Path.join(yield* temporaryFolder, "orders.db")
        yield* Effect.scoped(prepare(file))
        const read = Effect.promise(() => Fs.readFile(file).catch(() => Buffer.from("")))
        const before = yield* read
        yield* refused(file, why)
        if (unchanged) assert.isTrue(before.equals(yield* read), "the file was changed")
      })
    )
  const holding = (content: string | Buffer) => (file: string) => Effect.promise(() => Fs.writeFile(file, content))
  const ours = (statement: string) => (file: string) =>
    Effect.gen(function* () {
      yield* Layer.build(SqlLive).pipe(Effect.provide(config({ databaseFile: file })), Effect.scoped)
      const database = yield* connect(file)
      database.exec(statement)
    })

  refusal("on a text file", holding("remember the milk\n"), /not a SQLite database/)
  refusal("on a file of one byte", holding("S"), /not a SQLite database/)
  refusal("on a folder", (file) => Effect.promise(() => Fs.mkdir(file)), /EISDIR/)
  refusal(
    "on a damaged header",
    holding(Buffer.concat([Buffer.from("SQLite format 3\0", "latin1"), Buffer.alloc(8192, 0xa5)])),
    /not a database/
  )
  refusal(
    "on a database of another program",
    (file) => Effect.map(connect(file), (database) => void database.exec("CREATE TABLE orders (id INTEGER)")),
    /a database of another program/
  )
  refusal(
    "on a database of a newer version",
    ours("INSERT INTO effect_sql_migrations (migration_id, name) VALUES (9999, 'from_the_future')"),
    /a newer version/,
    false
  )

  it.scoped("on a folder that is a file", () =>
    Effect.gen(function* () {
      const file = Path.join(yield* temporaryFolder, "text")
      yield* holding("remember the milk\n")(file)
      yield* refused(Path.join(file, "orders.db"), /EEXIST|ENOTDIR/)
    })
  )

  it.scoped("on a lock that is no lock, which is not called a database in use", () =>
    Effect.gen(function* () {
      const file = Path.join(yield* temporaryFolder, "orders.db")
      yield* holding("remember the milk\n")(`${file}.lock`)
      yield* refused(file, /not a database/)
    })
  )

  test(
    "on a database in use, which goes on unharmed and is free when it ends",
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      yield* refused(databaseFile, /in use/)
      const sql = yield* table
      yield* transaction(sql, sql`INSERT INTO t (id) VALUES (1)`)
      assert.deepStrictEqual(yield* idsOf(sql), [1])
      yield* refused(databaseFile, /in use/)
    })
  )

  it.effect("but not on a database that was in use", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(Layer.build(SqlLive))
      yield* Effect.scoped(Layer.build(SqlLive))
    }).pipe(Effect.provide(config()))
  )
})

describe("transaction", () => {
  test(
    "stores all of it, or nothing when its body fails",
    Effect.gen(function* () {
      const sql = yield* table
      yield* transaction(sql, Effect.all([sql`INSERT INTO t (id) VALUES (1)`, sql`INSERT INTO t (id) VALUES (2)`]))
      const insert = sql`INSERT INTO t (id) VALUES (3)`
      assert.strictEqual(yield* Effect.flip(transaction(sql, Effect.zipRight(insert, Effect.fail("no")))), "no")
      const exit = yield* Effect.exit(transaction(sql, Effect.zipRight(insert, Effect.die("defect"))))
      assert.deepStrictEqual(exit, Exit.die("defect"))
      assert.deepStrictEqual(yield* idsOf(sql), [1, 2])
    })
  )

  test(
    "fails with a typed error when its COMMIT does, and leaves the connection fit for use",
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      const sql = yield* table
      yield* sql`CREATE TABLE child (id INTEGER REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)`
      yield* sql`PRAGMA foreign_keys = ON`
      const error = yield* Effect.flip(transaction(sql, sql`INSERT INTO child (id) VALUES (1)`))
      assert.instanceOf(error, SqlError)
      assert.match(String(error.cause), /FOREIGN KEY/)

      yield* sql`INSERT INTO t (id) VALUES (7)`
      yield* transaction(sql, sql`INSERT INTO child (id) VALUES (7)`)
      const other = yield* connect(databaseFile)
      assert.deepStrictEqual(other.prepare("SELECT t.id FROM t JOIN child USING (id)").pluck().all(), [7])
      assert.deepStrictEqual(other.prepare("SELECT count(*) FROM child").pluck().all(), [1])
    })
  )

  test(
    "shows nobody what is not committed",
    Effect.gen(function* () {
      const sql = yield* table
      const inside = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const writer = yield* sql`INSERT INTO t (id) VALUES (1)`.pipe(
        Effect.zipRight(Deferred.succeed(inside, undefined)),
        Effect.zipRight(Deferred.await(goOn)),
        Effect.zipRight(Effect.fail("no")),
        (body) => Effect.fork(Effect.flip(transaction(sql, body)))
      )
      yield* Deferred.await(inside)
      const reader = yield* Effect.fork(idsOf(sql))
      yield* turns
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual(yield* Fiber.join(writer), "no")
      assert.deepStrictEqual(yield* Fiber.join(reader), [])
    })
  )

  test(
    "waits while another program writes, then succeeds; reads go on meanwhile",
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      const sql = yield* table
      const other = yield* connect(databaseFile)
      other.exec("BEGIN IMMEDIATE; INSERT INTO t (id) VALUES (1)")
      const waiting = yield* Effect.fork(transaction(sql, sql`INSERT INTO t (id) VALUES (2)`))
      yield* turns
      yield* TestClock.adjust("2 seconds")
      assert.isNull(waiting.unsafePoll())
      assert.deepStrictEqual(yield* idsOf(sql), [])
      other.exec("COMMIT")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(yield* idsOf(sql), [1, 2])
    })
  )

  test(
    "can be given up while it waits, and changes nothing then",
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      const sql = yield* table
      const other = yield* connect(databaseFile)
      other.exec("BEGIN IMMEDIATE")
      const waiting = yield* Effect.fork(transaction(sql, sql`INSERT INTO t (id) VALUES (1)`))
      yield* turns
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(waiting)))
      other.exec("COMMIT")
      yield* TestClock.adjust("1 minute")
      yield* transaction(sql, sql`INSERT INTO t (id) VALUES (2)`)
      assert.deepStrictEqual(yield* idsOf(sql), [2])
    })
  )

  test(
    "on a full disk is StorageUnavailable, stores nothing, and succeeds once there is room",
    Effect.gen(function* () {
      const sql = yield* table
      const orUnavailable = yield* makeOrUnavailable
      const write = orUnavailable(
        transaction(
          sql,
          Effect.all([
            sql`INSERT INTO t (id) VALUES (1)`,
            sql`INSERT INTO t (id, filler) VALUES (2, ${"x".repeat(100_000)})`
          ])
        )
      )
      yield* sql`PRAGMA max_page_count = 1`
      assert.instanceOf(yield* Effect.flip(write), StorageUnavailable)
      assert.deepStrictEqual(yield* idsOf(sql), [])
      yield* sql`PRAGMA max_page_count = 1000000`
      yield* write
      assert.deepStrictEqual(yield* idsOf(sql), [1, 2])
    })
  )
})

test(
  "a broken constraint is a defect, not the storage's fault",
  Effect.gen(function* () {
    const sql = yield* table
    yield* sql`INSERT INTO t (id) VALUES (1)`
    const orUnavailable = yield* makeOrUnavailable
    const exit = yield* Effect.exit(orUnavailable(transaction(sql, sql`INSERT INTO t (id) VALUES (1)`)))
    assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
  })
)
