import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as MariaDbMove from "../../../src/store/mariadb/MariaDbMove.ts"
import * as OrdersRepoMariaDb from "../../../src/store/mariadb/OrdersRepoMariaDb.ts"
import { move } from "../../../src/store/move/Move.ts"
import { movedTables, totalsColumns } from "../../../src/store/move/MovedTables.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import * as OrdersRepoPostgres from "../../../src/store/postgres/OrdersRepoPostgres.ts"
import * as PostgresMove from "../../../src/store/postgres/PostgresMove.ts"
import * as SqliteMove from "../../../src/store/sqlite/SqliteMove.ts"
import { command } from "../../support/CliCommand.ts"
import { connect, vacuumed } from "../../support/Database.ts"
import { longTest } from "../../support/Limits.ts"
import { hasMariaDb, mariaDbDatabases, queryMariaDb, unlessMariaDb } from "../../support/MariaDb.ts"
import { fill } from "../../support/MovedOrders.ts"
import { hasPostgres, postgresSchemas, queryPostgres, serverBy, unlessPostgres } from "../../support/Postgres.ts"
import { insert } from "../../support/RepoKit.ts"
import { config, copyOf, sqlRepo, temporaryFolder } from "../../support/TestLayers.ts"

/** A folder with a database of that name. */
const filled = copyOf(
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const databaseFile = Path.join(folder, "orders.db")
    yield* Effect.scoped(fill(40)).pipe(
      Effect.provide(sqlRepo.pipe(Layer.provide(config({ databaseFile })))),
      Effect.orDie
    )
    return folder
  })
)

const migrate = (from: string, to: string, ...more: ReadonlyArray<string>) =>
  command(["migrate", "--from", from, "--to", to, ...more])

const fails = Effect.fnUntraced(function* (run: ReturnType<typeof migrate>, line: RegExp, exit = 1) {
  const { code, stderr, stdout } = yield* run
  assert.match(stderr, line)
  assert.deepStrictEqual([code, stdout], [exit, ""])
})

const tables = [...Object.values(movedTables).map(({ name }) => name), "totals", "sqlite_sequence"]

/** All that is in a file. */
const contents = (file: string) =>
  connect(file, (db) => tables.map((table) => db.prepare(`SELECT * FROM ${table} ORDER BY 1`).all()))

const expected = {
  ...movedTables,
  totals: { name: "totals", columns: { id: 0, ...Object.fromEntries(totalsColumns.map((name) => [name, 0])) } }
}

const sorted = (names: Iterable<unknown>) => [...names].map(String).sort()

describe("orders migrate", () => {
  it.scopedLive("takes over every column that a file has", () =>
    Effect.gen(function* () {
      const file = Path.join(yield* filled, "orders.db")
      for (const { columns, name } of Object.values(expected)) {
        const found = connect(file, (db) => db.prepare(`SELECT name FROM pragma_table_xinfo('${name}')`).pluck().all())
        assert.deepStrictEqual(sorted(found), sorted(Object.keys(columns)), name)
      }
    })
  )

  it.scopedLive("moves a file into another, and leaves the first as it is", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const [file, to] = [Path.join(folder, "orders.db"), Path.join(folder, "new/orders.db")]
      const before = Fs.readFileSync(file)
      const { code, stderr, stdout } = yield* migrate(file, `file:${to}`, "--json")
      assert.deepStrictEqual([code, stderr], [0, ""])
      const totals = { pending: 7, processing: 4, completed: 30, failed: 6, cancelled: 1 }
      assert.deepInclude(JSON.parse(stdout), {
        from: file,
        to,
        orders: { Pending: 7, Processing: 4, Completed: 29, Failed: 6, Cancelled: 1 },
        pruned: 1,
        next_key: 49
      })
      assert.deepInclude(JSON.parse(stdout).totals, totals)
      assert.isTrue(Fs.readFileSync(file).equals(before))
      assert.deepStrictEqual(contents(to), contents(file))
      assert.strictEqual(Fs.statSync(to).mode & 0o777, 0o600)
      assert.deepStrictEqual(
        Fs.readdirSync(Path.dirname(to)).filter((name) => name.includes("unfinished")),
        []
      )
      // It is one of ours.
      const checked = yield* command(["doctor", "--database", to])
      assert.strictEqual(checked.code, 0, checked.stdout)
    })
  )

  it.scopedLive("says in words what it compared", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const { stderr, stdout } = yield* migrate(Path.join(folder, "orders.db"), Path.join(folder, "new.db"))
      assert.match(stderr, /^copied 100 %, compared 100 %$/m)
      assert.match(stdout, /^orders +47: 7 Pending, 4 Processing, 29 Completed, 6 Failed, 1 Cancelled$/m)
      assert.match(stdout, /^changes +\d+ changes; the next has the id \d+$/m)
      assert.match(stdout, /^failures +\d error codes$/m)
    })
  )

  it.scopedLive("replaces a file without orders, which it sets aside, and no other", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const [file, to] = [Path.join(folder, "orders.db"), Path.join(folder, "to.db")]
      yield* Layer.build(sqlRepo).pipe(Effect.provide(config({ databaseFile: to })), Effect.scoped, Effect.orDie)
      assert.strictEqual((yield* migrate(file, to)).code, 0)
      assert.lengthOf(
        Fs.readdirSync(folder).filter((name) => name.startsWith("to.db.before-")),
        1
      )
      yield* fails(migrate(file, to), /^.*to\.db: it is not empty, for it has orders: name a new database$/m)
      Fs.writeFileSync(Path.join(folder, "text"), "no database")
      yield* fails(migrate(file, Path.join(folder, "text")), /text: not a SQLite database/)
    })
  )

  it.scopedLive("refuses what a service has", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const [file, other] = [Path.join(folder, "orders.db"), Path.join(folder, "other.db")]
      yield* Layer.build(sqlRepo).pipe(Effect.provide(config({ databaseFile: file })), Effect.orDie)
      yield* fails(migrate(file, other), /^.*orders\.db is in use by another process: stop that one first$/m)
      yield* fails(migrate(vacuumed(file), file), /^.*orders\.db is in use by another process: stop that one first$/m)
      assert.isFalse(Fs.existsSync(other))
    })
  )

  it.scopedLive("refuses what is no database of this version, or is damaged", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const file = Path.join(folder, "orders.db")
      const to = Path.join(folder, "to.db")
      const without = (change: string) => {
        const copy = vacuumed(file)
        connect(copy, (db) => db.exec(change))
        return Effect.addFinalizer(() => Effect.sync(() => Fs.rmSync(copy))).pipe(Effect.as(copy))
      }
      const refused = (change: string, line: RegExp) =>
        Effect.scoped(Effect.flatMap(without(change), (copy) => fails(migrate(copy, to), line)))

      yield* fails(migrate(Path.join(folder, "none.db"), to), /^--from: there is no database at .*none\.db\.$/m, 2)
      yield* fails(migrate(file, file), /^--from and --to name the same database\.$/m, 2)
      yield* fails(migrate(file, "postgres://nowhere"), /^--to: given "postgres:.*allowed is postgres:/m, 2)
      yield* fails(migrate("sqlite:x", to), /^--from: given .*allowed is file:/m, 2)
      yield* fails(
        migrate(file, to, "--from-password-file", file),
        /^--from-password-file: --from is not on a server\.$/m,
        2
      )
      yield* refused("PRAGMA application_id = 1", /not a database of this service/)
      yield* refused(
        "DELETE FROM effect_sql_migrations WHERE migration_id = 6",
        /an older version: start the service of this version on it once/
      )
      yield* refused("PRAGMA user_version = 1", /a copy that no service has been started on/)
      yield* refused("UPDATE totals SET failed = 5", /damaged, so it is not moved.*\n {2}totals: Failed 5, but 6/)
      assert.isFalse(Fs.existsSync(to))
    })
  )
})

describe.skipIf(!hasPostgres)(`orders migrate, PostgreSQL${unlessPostgres}`, () => {
  const schemas = postgresSchemas()
  const query = (url: string, ...statements: ReadonlyArray<string>) =>
    Effect.promise(() => queryPostgres(url, ...statements))
  const open = (url: string) =>
    Effect.flatMap(serverBy(url), (server) => Layer.build(OrdersRepoPostgres.layer(server))).pipe(
      Effect.provide(config()),
      Effect.map((context) => Context.get(context, OrdersRepo)),
      Effect.orDie
    )
  const isEmpty = (url: string) =>
    Effect.map(query(url, "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"), (rows) =>
      assert.deepStrictEqual(rows, [])
    )

  it.scopedLive("there and back, and all is as it was", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const [file, back] = [Path.join(folder, "orders.db"), Path.join(folder, "back.db")]
      const url = yield* schemas
      const there = yield* migrate(file, url, "--json")
      assert.deepStrictEqual([there.code, there.stderr], [0, ""])
      for (const { columns, name } of Object.values(expected)) {
        const rows = yield* query(
          url,
          `SELECT column_name FROM information_schema.columns
           WHERE table_schema = current_schema() AND table_name = '${name}'`
        )
        assert.deepStrictEqual(sorted(rows.map((row) => row.column_name)), sorted(Object.keys(columns)), name)
      }
      assert.strictEqual((yield* migrate(url, back)).code, 0)
      assert.deepStrictEqual(contents(back), contents(file))
    })
  )

  it.scopedLive("goes on with the next key and the next change", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const url = yield* schemas
      const moved = JSON.parse((yield* migrate(Path.join(folder, "orders.db"), url, "--json")).stdout)
      const repo = yield* open(url)
      yield* repo.write([insert("next")])
      assert.strictEqual((yield* repo.historyRange).last, moved.last_change + 1)
      const [row] = yield* query(url, "SELECT max(seq) AS seq FROM orders")
      assert.strictEqual(Number(row?.seq), moved.next_key)
      assert.strictEqual((yield* repo.failures).other.groups, 0)
    })
  )

  it.scopedLive("moves into tables that a service has made, and refuses those with orders", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const file = Path.join(folder, "orders.db")
      const url = yield* schemas
      yield* Effect.scoped(open(url))
      assert.strictEqual((yield* migrate(file, url)).code, 0)
      yield* fails(migrate(file, url), /^postgres:.*: it is not empty, for it has orders: name a new database$/m)
    })
  )

  for (const [change, found] of [
    ["UPDATE orders SET user_id = '5' WHERE seq = 20", "orders seq 20, user_id"],
    ["UPDATE orders SET order_id = 'other' WHERE seq = 20", "orders seq 20, order_id"],
    ["DELETE FROM changes WHERE id = (SELECT max(id) FROM changes)", "changes id 133, (missing)"],
    [
      "INSERT INTO changes SELECT 9999, seq, NULL, 'Pending', 0, 1, 1, 'x' FROM orders LIMIT 1",
      "changes has more rows"
    ],
    ["UPDATE totals SET retention_at = 5", "totals, retention_at"],
    ["SELECT setval(pg_get_serial_sequence('orders', 'seq'), 7)", "the key of the next order is 8, and was 49"]
  ] as const) {
    it.scopedLive(`commits nothing when what is read is not what was written: ${change}`, () =>
      Effect.gen(function* () {
        const file = Path.join(yield* filled, "orders.db")
        const url = yield* schemas
        const source = yield* SqliteMove.openSource(file)
        const progress = { total: 0, copied: 0, compared: 0 }
        yield* Effect.scoped(
          Effect.gen(function* () {
            const target = yield* PostgresMove.openTarget(yield* serverBy(url))
            const end = Effect.zipRight(target.end, Effect.asVoid(target.sql.unsafe(change)))
            const error = yield* Effect.flip(move(source, { ...target, end }, progress))
            assert.match(
              error.message,
              /^postgres:.*: nothing was moved, for what was written there is not what is read: /
            )
            assert.isTrue(error.message.endsWith(`: ${found}`), error.message)
          })
        )
        yield* isEmpty(url)
      })
    )
  }

  it.scopedLive("fills nothing that a service has", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const url = yield* schemas
      yield* open(url)
      yield* fails(migrate(Path.join(folder, "orders.db"), url), /: in use by another process: stop that one first$/m)
    })
  )

  it.scopedLive("takes nothing from what a service has", () =>
    Effect.gen(function* () {
      const back = Path.join(yield* temporaryFolder, "back.db")
      const url = yield* schemas
      yield* open(url)
      yield* fails(migrate(url, back), /: in use by another process: stop that one first$/m)
      assert.isFalse(Fs.existsSync(back))
    })
  )

  it.scopedLive("refuses what is not there, what is older, and totals that are wrong", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const [file, back] = [Path.join(folder, "orders.db"), Path.join(folder, "back.db")]
      const url = yield* schemas
      yield* fails(migrate(url, back), /: there are no tables of this service in it: name/)
      assert.strictEqual((yield* migrate(file, url)).code, 0)
      yield* query(url, "UPDATE totals SET failed = failed + 1")
      yield* fails(migrate(url, back), /is damaged, so it is not moved.*\n {2}totals: Failed 7, but 6 are there$/m)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const source = yield* PostgresMove.openSource(yield* serverBy(url))
          const target = yield* SqliteMove.openTarget(back)
          const error = yield* Effect.flip(move(source, target, { total: 0, copied: 0, compared: 0 }))
          assert.match(error.message, /: nothing was moved, for not as many orders are Failed as were counted/)
        })
      )
      yield* query(url, "DELETE FROM effect_sql_migrations")
      yield* fails(migrate(url, back), /an older version: start the service of this version on it once/)
      assert.isFalse(Fs.existsSync(back))
    })
  )

  it.scopedLive("reads a password from a file, and shows none", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const [file, secret] = [Path.join(folder, "orders.db"), Path.join(folder, "secret")]
      Fs.writeFileSync(secret, "s3cret\n")
      const url = new URL(yield* schemas)
      const moved = yield* migrate(file, url.href, "--to-password-file", secret)
      assert.strictEqual(moved.code, 0, moved.stderr)
      url.password = "s3cret"
      const both = yield* migrate(file, url.href, "--to-password-file", secret)
      assert.match(both.stderr, /^--to-password-file: given beside a password in --to, allowed is one of them$/m)
      const wrong = yield* migrate(url.href.replace(/:\d+\//, ":1/"), file)
      assert.match(wrong.stderr, /^postgres:.*ECONNREFUSED.*: start the server, or correct/m)
      for (const { stderr, stdout } of [moved, both, wrong]) assert.notInclude(stderr + stdout, "s3cret")
      yield* isEmpty(yield* schemas)
    })
  )
})

describe.skipIf(!hasMariaDb)(`orders migrate, MariaDB${unlessMariaDb}`, () => {
  const { fresh } = mariaDbDatabases()
  const query = (url: string, ...statements: ReadonlyArray<string>) =>
    Effect.promise(() => queryMariaDb(url, ...statements))
  const open = (url: string) =>
    Effect.flatMap(serverBy(url), (server) => Layer.build(OrdersRepoMariaDb.layer(server))).pipe(
      Effect.provide(config()),
      Effect.map((context) => Context.get(context, OrdersRepo)),
      Effect.orDie
    )

  it.scopedLive(
    "there and back, and all is as it was",
    () =>
      Effect.gen(function* () {
        const folder = yield* filled
        const [file, back] = [Path.join(folder, "orders.db"), Path.join(folder, "back.db")]
        const url = yield* fresh
        const there = yield* migrate(file, url, "--json")
        assert.deepStrictEqual([there.code, there.stderr], [0, ""])
        assert.strictEqual(JSON.parse(there.stdout).next_key, 49)
        const again = yield* migrate(url, back)
        assert.strictEqual(again.code, 0, again.stderr)
        assert.deepStrictEqual(contents(back), contents(file))
        yield* fails(migrate(file, url), /^mariadb:.*: it is not empty, for it has orders: name a new database$/m)
      }),
    longTest
  )

  it.scopedLive(
    "goes on with the next key and the next change",
    () =>
      Effect.gen(function* () {
        const url = yield* fresh
        const moved = JSON.parse((yield* migrate(Path.join(yield* filled, "orders.db"), url, "--json")).stdout)
        const repo = yield* open(url)
        yield* repo.write([insert("next")])
        assert.strictEqual((yield* repo.historyRange).last, moved.last_change + 1)
        const [row] = yield* query(url, "SELECT max(seq) AS seq FROM orders")
        assert.strictEqual(Number(row?.seq), moved.next_key)
        assert.strictEqual((yield* repo.failures).other.groups, 0)
        yield* fails(migrate(url, "nowhere.db"), /: in use by another process: stop that one first$/m)
      }),
    longTest
  )

  for (const [change, found] of [
    ["UPDATE orders SET user_id = '5' WHERE seq = 20", "orders seq 20, user_id"],
    ["UPDATE orders SET order_id = 'A-._:b' WHERE order_id = 'a-._:b'", "orders seq 3, order_id"],
    ["DELETE FROM changes ORDER BY id DESC LIMIT 1", "changes id 133, (missing)"],
    ["UPDATE totals SET last_key = 99", "the key of the next order is 100, and was 49"]
  ] as const) {
    it.scopedLive(
      `commits nothing when what is read is not what was written: ${change}`,
      () =>
        Effect.gen(function* () {
          const file = Path.join(yield* filled, "orders.db")
          const url = yield* fresh
          const source = yield* SqliteMove.openSource(file)
          yield* Effect.scoped(
            Effect.gen(function* () {
              const target = yield* MariaDbMove.openTarget(yield* serverBy(url))
              const end = Effect.zipRight(target.end, Effect.asVoid(target.sql.unsafe(change)))
              const error = yield* Effect.flip(move(source, { ...target, end }, { total: 0, copied: 0, compared: 0 }))
              assert.isTrue(error.message.endsWith(`: ${found}`), error.message)
            })
          )
          const repo = yield* open(url)
          assert.strictEqual((yield* repo.totals).Failed, 0)
          assert.deepStrictEqual(yield* query(url, "SELECT * FROM orders"), [])
        }),
      longTest
    )
  }
})
