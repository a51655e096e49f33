import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Context, Deferred, Effect, Exit, Layer, Logger, Option, type Scope } from "effect"
import * as Pg from "pg"
import { AppConfig } from "../../../src/AppConfig.ts"
import { StorageUnavailable } from "../../../src/order/Order.ts"
import type { Command } from "../../../src/store/Command.ts"
import { GroupCommit } from "../../../src/store/GroupCommit.ts"
import { OrderEvents } from "../../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import * as OrdersRepoPostgres from "../../../src/store/postgres/OrdersRepoPostgres.ts"
import { Client, clientConfig, connectionOf } from "../../../src/store/postgres/PostgresDriver.ts"
import { checkServer } from "../../../src/store/postgres/SetUp.ts"
import { messageOf } from "../../../src/store/server/ServerErrors.ts"
import { longTest } from "../../support/Limits.ts"
import { hasPostgres, postgresSchemas, queryPostgres, serverBy, unlessPostgres } from "../../support/Postgres.ts"
import { claim, completed, find, insert, record, same, tags, write } from "../../support/RepoKit.ts"
import { config, type Settings } from "../../support/TestLayers.ts"

const name = `PostgreSQL${unlessPostgres}`

/** Leaves tables as the version before made them. */
const before0002 = ["DROP TABLE nodes", "DELETE FROM effect_sql_migrations WHERE migration_id = 2"]

describe.skipIf(!hasPostgres)(name, () => {
  const schemas = postgresSchemas()
  const query = (url: string, ...statements: ReadonlyArray<string>) =>
    Effect.promise(() => queryPostgres(url, ...statements))

  /** The repository on that database, which lives as long as the test. */
  const open = (url: string, settings: Settings = {}) =>
    Effect.flatMap(serverBy(url), (server) => Layer.build(OrdersRepoPostgres.layer(server))).pipe(
      Effect.provide(config(settings))
    )
  const refusal = (url: string) =>
    Effect.map(Effect.flip(Effect.scoped(open(url))), (error) => (error._tag === "StartupError" ? error.lines : []))

  const refused = (title: string, why: RegExp, prepare: (url: string) => Effect.Effect<string>) =>
    it.live(`does not start ${title}`, () =>
      Effect.gen(function* () {
        const lines = yield* refusal(yield* prepare(yield* schemas))
        assert.lengthOf(lines, 1)
        assert.match(lines[0] ?? "", why)
      })
    )

  refused("on a database that is not there", /^DATABASE_URL: postgres:.*nowhere.* does not exist: create it/, (url) =>
    Effect.succeed(Object.assign(new URL(url), { pathname: "/nowhere" }).href)
  )
  refused("where no server is", /ECONNREFUSED.*: start the server, or correct/, (url) =>
    Effect.succeed(Object.assign(new URL(url), { port: "1" }).href)
  )
  refused("as a user that is not there", /: correct the user or the password/, (url) =>
    Effect.succeed(Object.assign(new URL(url), { username: "nobody_at_all" }).href)
  )
  refused("without a schema for its tables", /no schema for the tables/, (url) =>
    Effect.succeed(url.replace(/test_\d+$/, "not_there"))
  )
  refused("beside tables of another program", /its tables are of another program/, (url) =>
    Effect.as(query(url, "CREATE TABLE orders (id integer)"), url)
  )
  refused("where another program has a table whose name has become ours", /its table `nodes` is of another/, (url) =>
    Effect.gen(function* () {
      yield* Effect.scoped(Effect.orDie(open(url)))
      yield* query(url, ...before0002, "CREATE TABLE nodes (id integer)")
      return url
    })
  )
  refused("on tables of a newer version", /a database of a newer version/, (url) =>
    Effect.as(
      query(
        url,
        "CREATE TABLE effect_sql_migrations (migration_id integer PRIMARY KEY, name text)",
        "INSERT INTO effect_sql_migrations VALUES (999, 'later')"
      ),
      url
    )
  )
  refused("where nothing can be written", /it takes no writes/, (url) =>
    Effect.succeed(`${url}%20-c%20default_transaction_read_only%3Don`)
  )

  for (const [what, facts, why] of [
    ["an older server", { version: 140_019, version_name: "14.19" }, "PostgreSQL 14.19: PostgreSQL 15 is the oldest"],
    ["a standby", { is_standby: true }, "it takes no writes: name the server that does"],
    [
      "a database in Latin-1",
      { encoding: "LATIN1" },
      "its encoding is LATIN1: create the database WITH ENCODING 'UTF8'"
    ]
  ] as const) {
    it.effect(`does not start on ${what}`, () =>
      Effect.gen(function* () {
        const fit = {
          ...{ version: 150_000, version_name: "15.0", encoding: "UTF8", is_standby: false, read_only: "off" },
          ...{ schema: "public", synchronous_commit: "on", fsync: "on", standbys: "" }
        }
        yield* checkServer("postgres://shop", fit)
        const { lines } = yield* Effect.flip(checkServer("postgres://shop", { ...fit, ...facts }))
        assert.lengthOf(lines, 1)
        assert.isTrue(lines[0]?.startsWith(`DATABASE_URL: postgres://shop: ${why}`), lines[0])
      })
    )
  }

  const changed = (what: string, why: string, ...statements: ReadonlyArray<string>) =>
    refused(
      `on tables where ${what}`,
      new RegExp(`: its tables were changed by somebody else \\(${why}.*\\): undo`),
      (url) =>
        Effect.gen(function* () {
          yield* Effect.scoped(Effect.orDie(open(url)))
          yield* query(url, ...statements)
          return url
        })
    )
  const doesNothing = "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
  const onOrders = "CREATE TRIGGER audit BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION nothing()"
  changed("a column is gone", "column orders.traceparent text is missing", "ALTER TABLE orders DROP traceparent")
  changed(
    "a column has another type",
    "column orders.run integer is missing, ",
    "ALTER TABLE orders ALTER run TYPE bigint"
  )
  changed(
    "a column was added",
    "column orders.mine text is not ours",
    "ALTER TABLE orders ADD mine text NOT NULL DEFAULT ''"
  )
  changed("an index is gone", "index orders_pending is missing", "DROP INDEX orders_pending")
  changed("an index is unique", "index mine is not ours", "CREATE UNIQUE INDEX mine ON orders (user_id)")
  changed(
    "a trigger does not run",
    "trigger orders_span on orders .*missing",
    "ALTER TABLE orders DISABLE TRIGGER orders_span"
  )
  changed("a trigger was added", "trigger audit on orders calling nothing is not ours", doesNothing, onOrders)
  changed(
    "a rule was added",
    "rule lost on orders is not ours",
    "CREATE RULE lost AS ON INSERT TO orders DO INSTEAD NOTHING"
  )
  changed("rows are hidden", "row security on orders is not ours", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
  changed(
    "a crash empties them",
    "table changes is missing, unlogged table changes",
    "ALTER TABLE changes SET UNLOGGED"
  )
  changed(
    "a constraint is gone",
    "constraint orders_status_check is missing",
    "ALTER TABLE orders DROP CONSTRAINT orders_status_check"
  )

  it.scopedLive("brings the tables of an older version up to date", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      yield* Effect.scoped(open(url))
      yield* query(url, ...before0002)
      yield* open(url)
      assert.deepStrictEqual(yield* query(url, "SELECT name FROM nodes"), [])
    })
  )

  it.scopedLive("starts beside tables, views and plain indices of others", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      yield* Effect.scoped(open(url))
      yield* query(
        url,
        "CREATE INDEX mine ON orders (accepted_at)",
        "CREATE VIEW mine_too AS SELECT * FROM orders",
        "CREATE TABLE others (id integer PRIMARY KEY)"
      )
      const repo = Context.get(yield* open(url), OrdersRepo)
      yield* repo.write([insert(1)])
    })
  )

  it.scopedLive("does not start beside another process, and does after it", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* open(url)
          assert.match(
            (yield* refusal(url)).join("\n"),
            /^DATABASE_URL: .*: in use by another process: stop that one first$/
          )
        })
      )
      yield* open(url)
    })
  )

  it.scopedLive("is another database in another schema", () =>
    Effect.gen(function* () {
      for (const url of [yield* schemas, yield* schemas]) {
        const repo = Context.get(yield* open(url), OrdersRepo)
        yield* repo.write([insert(1)])
        assert.strictEqual((yield* repo.totals).Pending, 1)
      }
    })
  )

  it.scopedLive("says so when the server does not wait for the disk", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => lines.push(String(message)))
      )
      const url = yield* schemas
      const start = (url: string) =>
        Effect.flatMap(serverBy(url), (server) => Effect.scoped(Layer.build(OrdersRepoPostgres.layer(server)))).pipe(
          Effect.provide(Layer.merge(logger, AppConfig.layerTest({})))
        )
      yield* start(url)
      yield* start(`${url}%20-c%20synchronous_commit%3Doff`)
      assert.deepStrictEqual(
        lines
          .filter((line) => line.includes("synchronous_commit"))
          .map((line) => line.replace(/^.*: (synchronous)/, "$1")),
        ["synchronous_commit is off: orders that were accepted may be lost when the server crashes"]
      )
    })
  )

  it.scopedLive("finds all as it was when it is opened again", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const before = yield* Effect.scoped(
        Effect.gen(function* () {
          const repo = Context.get(yield* open(url), OrdersRepo)
          yield* repo.write([insert(1, { metadata: { a: "\u0000\ud800é" } }), insert(2), claim(1)])
          yield* repo.write([record(1, 1, completed(Option.some([1, null])))])
          return yield* repo.list({}, Option.none(), 9)
        })
      )
      const repo = Context.get(yield* open(url), OrdersRepo)
      same(yield* repo.list({}, Option.none(), 9), before)
      same((yield* repo.write([insert(3)])).results.length, 1)
    })
  )

  it.scopedLive("removes the history when it is started with HISTORY=off", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const inserting = (id: number, settings: Settings) =>
        Effect.scoped(
          Effect.gen(function* () {
            const repo = Context.get(yield* open(url, settings), OrdersRepo)
            yield* repo.write([insert(id)])
            return [yield* repo.historyRange, (yield* repo.changes({}, 0, 9)).found.map(({ id }) => id)]
          })
        )
      assert.deepStrictEqual(yield* inserting(1, {}), [{ from: 1, last: 1 }, [1]])
      assert.deepStrictEqual(yield* inserting(2, { history: Option.none() }), [{ from: 3, last: 2 }, []])
      assert.deepStrictEqual(yield* inserting(3, {}), [{ from: 3, last: 3 }, [3]])
    })
  )

  const running = <E>(
    title: string,
    body: (
      url: string,
      fault: Deferred.Deferred<string>
    ) => Effect.Effect<void, E, GroupCommit | OrdersRepo | Scope.Scope>
  ) =>
    it.scopedLive(
      title,
      () =>
        Effect.gen(function* () {
          const url = yield* schemas
          const server = yield* serverBy(url)
          const layer = GroupCommit.layer.pipe(
            Layer.provideMerge(OrderEvents.layer),
            Layer.provideMerge(OrdersRepoPostgres.layer(server)),
            Layer.provideMerge(config())
          )
          yield* Effect.flatMap(OrdersRepo, ({ fault }) => body(url, fault)).pipe(Effect.provide(layer))
        }),
      longTest
    )

  /** The sessions that write, as the server sees them. */
  const lockHolders = `
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE
      locktype = 'advisory' AND granted AND classid = 1330791506 AND datname = current_database()
      AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid`
  const endWriter = (url: string) => query(url, `SELECT pg_terminate_backend(pid, 5000) ${lockHolders}`)

  /** Another session, of that name, that gets the lock as soon as nobody has it. */
  const waitingForLock = (url: string, application_name: string) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const client = new Pg.Client({ connectionString: url, application_name })
        client.on("error", () => {})
        await client.connect()
        client.query("SELECT pg_advisory_lock(1330791506, hashtext(current_schema()))").catch(() => {})
        const waits =
          "SELECT 1 FROM pg_locks WHERE NOT granted AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid"
        while ((await queryPostgres(url, waits)).length === 0);
        return client
      }),
      (client) => Effect.promise(() => client.end())
    )

  running("goes on when its connections are ended by the server", (url) =>
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      yield* write(insert(1))
      yield* find(1)
      yield* query(
        url,
        `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'orders %' AND datname = current_database()`
      )
      assert.deepStrictEqual(yield* tags(insert(2), insert(1)), ["Inserted", "Known"])
      yield* find(2)
      assert.strictEqual((yield* repo.totals).Pending, 2)
    })
  )

  running("loses nothing that it acknowledged, whenever its connection is ended", (url) =>
    Effect.gen(function* () {
      const { settle, write } = yield* GroupCommit
      const repo = yield* OrdersRepo
      const acknowledged: Array<number> = []
      let isOver = false
      const submit = Effect.forEach(
        Arr.range(1, 1500),
        (id) =>
          Effect.flatMap(Effect.exit(write(insert(id))), (exit) =>
            Effect.sync(() => {
              if (Exit.isSuccess(exit)) acknowledged.push(id)
            })
          ),
        { concurrency: 20, discard: true }
      )
      // Not for ever, or a slow machine would never get to writing.
      let ends = 0
      const ending = Effect.whileLoop({
        while: () => !isOver && ends < 30,
        body: () => Effect.zipRight(Effect.sleep("60 millis"), endWriter(url)),
        step: () => {
          ends += 1
        }
      })
      yield* Effect.all(
        [
          Effect.ensuring(
            submit,
            Effect.sync(() => {
              isOver = true
            })
          ),
          ending
        ],
        { concurrency: 2 }
      )
      assert.strictEqual((yield* settle(insert(9001)))._tag, "Inserted")
      assert.isAbove(acknowledged.length, 0)
      for (const id of acknowledged) yield* find(id)
      const stored = yield* Effect.flatMap(repo.totals, ({ Pending }) => Effect.succeed(Pending))
      const [row] = yield* query(
        url,
        "SELECT count(*)::integer AS orders, (SELECT count(*)::integer FROM changes) AS changes FROM orders"
      )
      assert.deepStrictEqual(row, { orders: stored, changes: stored })
      assert.isAtLeast(stored, acknowledged.length + 1)
    })
  )

  running("takes the lock from a session of its own that the server still believes in", (url) =>
    Effect.gen(function* () {
      yield* write(insert(1))
      const [holder] = yield* query(url, `SELECT application_name AS name ${lockHolders}`)
      yield* waitingForLock(url, String(holder?.name))
      yield* endWriter(url)
      assert.strictEqual((yield* tags(insert(2)))[0], "Inserted")
    })
  )

  running("takes no order any more once another process wrote while its connection was lost", (url, fault) =>
    Effect.gen(function* () {
      yield* write(insert(1))
      const meanwhile = (...commands: ReadonlyArray<Command>) =>
        Effect.zipRight(
          endWriter(url),
          Effect.scoped(
            Effect.flatMap(open(url), (context) =>
              Effect.forEach(commands, (command) => Context.get(context, OrdersRepo).write([command]))
            )
          )
        )
      yield* meanwhile()
      assert.deepStrictEqual(yield* tags(insert(2)), ["Inserted"])
      yield* meanwhile(insert(3))
      assert.deepStrictEqual(yield* Effect.exit(write(insert(4))), Exit.fail(new StorageUnavailable({})))
      assert.strictEqual(yield* Deferred.await(fault), "the database is not as this service left it")
      assert.deepStrictEqual(yield* Effect.exit(write(insert(5))), Exit.fail(new StorageUnavailable({})))
      yield* find(3)
    })
  )

  it.scopedLive("is waited for as long as the connection is to wait", () =>
    Effect.gen(function* () {
      const server = yield* Effect.flatMap(schemas, serverBy)
      const sleepBy = (answerMillis: number) =>
        Effect.acquireUseRelease(
          Effect.sync(() => new Client({ ...clientConfig(server, "test"), answerMillis })),
          (client) =>
            Effect.zipRight(
              Effect.promise(() => client.connect()),
              connectionOf(client).executeRaw("SELECT pg_sleep(0.2)", [])
            ),
          (client) => Effect.promise(() => client.end())
        )
      assert.strictEqual(messageOf(yield* Effect.flip(sleepBy(100))), "no answer within 0.1 seconds")
      yield* sleepBy(longTest)
    })
  )

  running("takes no order any more once another process has the lock", (url, fault) =>
    Effect.gen(function* () {
      yield* write(insert(1))
      yield* waitingForLock(url, "another")
      yield* endWriter(url)
      assert.deepStrictEqual(yield* Effect.exit(write(insert(2))), Exit.fail(new StorageUnavailable({})))
      assert.strictEqual(yield* Deferred.await(fault), "another process uses the database")
      assert.deepStrictEqual(yield* Effect.exit(write(insert(3))), Exit.fail(new StorageUnavailable({})))
      yield* find(1)
    })
  )
})
