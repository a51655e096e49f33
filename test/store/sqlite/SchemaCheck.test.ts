import * as Path from "node:path"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Migrator from "@effect/sql-sqlite-node/SqliteMigrator"
import { assert, describe, it } from "@effect/vitest"
import type { Database } from "better-sqlite3"
import { Effect, Layer, Record } from "effect"
import { StartupError } from "../../../src/StartupError.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { latestMigration, migrations } from "../../../src/store/sqlite/Migrations.ts"
import { SqlLive } from "../../../src/store/sqlite/Sqlite.ts"
import * as SqliteClient from "../../../src/store/sqlite/SqliteClient.ts"
import { connect } from "../../support/Database.ts"
import { anInsert, config, copyOf, sqlRepo, temporaryFolder } from "../../support/TestLayers.ts"

const start = (databaseFile: string) =>
  Layer.build(SqlLive).pipe(Effect.scoped, Effect.asVoid, Effect.provide(config({ databaseFile })))

const made = copyOf(Effect.tap(temporaryFolder, (folder) => start(Path.join(folder, "orders.db"))))

/** A database of the service as another program has changed it. */
const changed = (change: (db: Database) => void) =>
  Effect.map(made, (folder) => {
    const file = Path.join(folder, "orders.db")
    connect(file, change)
    return file
  })

/** A row of the schema as SQLite itself would not write it. */
const row = (db: Database, type: string | null, name: string | Buffer | null, sql: string, table = "orders") => {
  db.unsafeMode(true)
  db.pragma("writable_schema = ON")
  db.prepare("INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES (?, ?, ?, 0, ?)").run(
    type,
    name,
    table,
    sql
  )
}

const less = (name: string, table: string) =>
  `CREATE TRIGGER ${name} AFTER INSERT ON ${table} BEGIN UPDATE orders SET total_amount = 1 WHERE seq = new.seq; END`

const endless = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS id FROM c"

const refusals: Record<string, readonly [change: (db: Database) => void, named: string]> = {
  "a trigger": [(db) => db.exec(less("planted", "orders")), "trigger planted"],
  "a trigger on a table in other letters": [(db) => db.exec(less("planted", "ORDERS")), "trigger planted"],
  "a trigger whose name looks like one of SQLite": [
    (db) => db.exec(less("sqlitexplanted", "orders")),
    "trigger sqlitexplanted"
  ],
  "a trigger on the list of migrations": [
    (db) => db.exec("CREATE TRIGGER planted AFTER INSERT ON effect_sql_migrations BEGIN DELETE FROM orders; END"),
    "trigger planted"
  ],
  "a trigger on a table of another program": [
    (db) =>
      db.exec("CREATE TABLE notes (t); CREATE TRIGGER planted AFTER INSERT ON notes BEGIN DELETE FROM orders; END"),
    "trigger planted"
  ],
  "a trigger under a name of SQLite": [
    (db) => row(db, "trigger", "sqlite_planted", less("sqlite_planted", "orders")),
    "trigger sqlite_planted"
  ],
  "a view": [(db) => db.exec(`CREATE VIEW planted AS ${endless}`), "view planted"],
  "a view in the place of a table": [
    (db) => db.exec(`DROP TABLE probe; CREATE VIEW probe AS ${endless}`),
    "view probe"
  ],
  "a view in the place of the list of migrations": [
    (db) => db.exec(`DROP TABLE effect_sql_migrations; CREATE VIEW effect_sql_migrations AS ${endless}`),
    "view effect_sql_migrations"
  ],
  "a virtual table": [(db) => db.exec("CREATE VIRTUAL TABLE planted USING fts5(x)"), "table planted"],
  "a unique index": [(db) => db.exec("CREATE UNIQUE INDEX planted ON orders (user_id)"), "index planted"],
  "an index with an expression": [
    (db) => db.exec("CREATE INDEX planted ON orders (json(user_id || '1'))"),
    "index planted"
  ],
  "an index with a condition": [
    (db) => db.exec("CREATE INDEX planted ON ORDERS (seq) WHERE json(user_id) = 1"),
    "index planted"
  ]
}

/** SQLite itself does not take these. */
const crafted: typeof refusals = {
  "a trigger that says it is a table of SQLite": [
    (db) => row(db, "table", "sqlite_stat1", less("sqlite_stat1", "orders")),
    "sqlite_stat1"
  ],
  "a trigger that says it is an index": [
    (db) => row(db, "index", "planted", less("planted", "orders"), "notes"),
    "planted"
  ],
  "a trigger without a type, with a name of bytes": [
    (db) => row(db, null, Buffer.from("plan\n\u009bted"), less("planted", "orders")),
    "plan\\u{a}\\u{9b}ted"
  ]
}

const refused = (file: string) =>
  Effect.map(Effect.flip(start(file)), (error) => {
    assert.instanceOf(error, StartupError)
    assert.lengthOf(error.lines, 1)
    assert.notMatch(error.message, /[\n\u009b]/)
    return error.message
  })

describe("a start on a database with", () => {
  for (const [what, [change, named]] of Object.entries(refusals)) {
    it.scoped(`${what} is refused in one line that names it`, () =>
      Effect.gen(function* () {
        const message = yield* refused(yield* changed(change))
        assert.match(message, /^DATABASE_URL: .*: not made by this service, and may change what is stored and read: /)
        assert.include(message, named)
        assert.match(message, /remove it by DROP, or put a backup in place with `orders restore`$/)
      })
    )
  }

  for (const [what, [change, named]] of Object.entries(crafted)) {
    it.scoped(`${what} is refused in one line`, () =>
      Effect.gen(function* () {
        const message = yield* refused(yield* changed(change))
        assert.include(message, `malformed database schema (${named}`)
      })
    )
  }

  it.scoped("a trigger runs none of it, also when there is something to migrate", () =>
    Effect.gen(function* () {
      const file = Path.join(yield* temporaryFolder, "orders.db")
      yield* madeBy(1, file)
      connect(file, (db) => {
        db.exec("CREATE TABLE seen (x)")
        db.exec("CREATE TRIGGER planted AFTER INSERT ON effect_sql_migrations BEGIN INSERT INTO seen VALUES (1); END")
      })
      assert.include(yield* refused(file), "trigger planted")
      connect(file, (db) => {
        assert.deepStrictEqual(db.prepare("SELECT count(*) FROM seen").pluck().all(), [0])
        assert.deepStrictEqual(db.prepare("SELECT count(*) FROM effect_sql_migrations").pluck().all(), [1])
      })
    })
  )

  for (const [what, change] of Object.entries({
    "a column more": "ALTER TABLE orders ADD COLUMN note TEXT AS (user_id) VIRTUAL",
    "another trigger under the name of ours": `DROP TRIGGER orders_span; ${less("orders_span", "orders")}`,
    "an index of ours gone": "DROP INDEX orders_failed"
  })) {
    it.scoped(`${what} is refused as changed`, () =>
      Effect.gen(function* () {
        const message = yield* refused(yield* changed((db) => db.exec(change)))
        assert.match(message, /another program has changed its (table orders|trigger orders_span|index orders_failed)/)
      })
    )
  }

  it.scoped("tables of another program and an operator's own index works, and they change nothing", () =>
    Effect.gen(function* () {
      const databaseFile = yield* changed((db) =>
        db.exec(`
          CREATE TABLE notes (id INTEGER PRIMARY KEY, "order" INTEGER REFERENCES orders (seq) ON DELETE CASCADE);
          CREATE UNIQUE INDEX notes_order ON notes ("order");
          CREATE INDEX "notes more" ON notes (lower("order"));
          CREATE INDEX ours ON orders (user_id, "accepted_at" DESC);
          CREATE INDEX codes ON orders(currency COLLATE NOCASE);
          ANALYZE`)
      )
      yield* Effect.gen(function* () {
        const repo = yield* OrdersRepo
        yield* repo.write([anInsert(1)])
        const sql = yield* SqlClient.SqlClient
        yield* sql`INSERT INTO notes (id, "order") VALUES (1, 1), (2, 99)`
        yield* sql`DELETE FROM orders`
        assert.deepStrictEqual(yield* sql`SELECT count(*) FROM notes`.values, [[2]])
      }).pipe(Effect.provide(Layer.provideMerge(sqlRepo, config({ databaseFile }))))
      yield* start(databaseFile)
    })
  )
})

/** A database as the migrations up to that one leave it. */
const madeBy = (latest: number, file: string) =>
  Effect.gen(function* () {
    const sql = yield* SqliteClient.make(file)
    yield* sql`PRAGMA journal_mode = WAL`.unprepared
    yield* sql`PRAGMA application_id = ${sql.literal(String(0x4f524452))}`.unprepared
    const loader = Migrator.fromRecord(Record.filter(migrations, (_, name) => Number.parseInt(name, 10) <= latest))
    yield* Migrator.make({})({ loader }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
  }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))

it.scoped("a start brings a database of each earlier migration up to date", () =>
  Effect.gen(function* () {
    for (let latest = 0; latest <= latestMigration; latest++) {
      const file = Path.join(yield* temporaryFolder, "orders.db")
      yield* madeBy(latest, file)
      yield* start(file)
    }
  })
)

it.scoped("each connection takes precautions, which stay", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const settings = Effect.forEach(["trusted_schema", "cell_size_check", "foreign_keys"], (name) =>
      Effect.map(sql.unsafe(`PRAGMA ${name}`).values, (rows) => rows.flat())
    )
    assert.deepStrictEqual(yield* settings, [[0], [1], [0]])
    yield* sql`CREATE TABLE t (id)`
    yield* sql`INSERT INTO t VALUES (1)`
    assert.deepStrictEqual(yield* settings, [[0], [1], [0]])
  }).pipe(Effect.provide(Layer.provideMerge(SqlLive, config())))
)
