import { assert, describe, it } from "@effect/vitest"
import {
  Array as Arr,
  Cause,
  Chunk,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  type Scope,
  TestClock
} from "effect"
import * as Mysql from "mysql2/promise"
import { OrderId, StorageUnavailable } from "../../../src/order/Order.ts"
import type { Command } from "../../../src/store/Command.ts"
import { GroupCommit } from "../../../src/store/GroupCommit.ts"
import { Client, clientConfig, connectionOf, unsupported } from "../../../src/store/mariadb/MariaDbClient.ts"
import { mariaDbErrors } from "../../../src/store/mariadb/MariaDbErrors.ts"
import * as OrdersRepoMariaDb from "../../../src/store/mariadb/OrdersRepoMariaDb.ts"
import { checkServer, weakened } from "../../../src/store/mariadb/SetUp.ts"
import { OrderEvents } from "../../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { errorCode, messageOf } from "../../../src/store/server/ServerErrors.ts"
import { longTest } from "../../support/Limits.ts"
import { hasMariaDb, mariaDbDatabases, queryMariaDb, unlessMariaDb } from "../../support/MariaDb.ts"
import { serverBy } from "../../support/Postgres.ts"
import { claim, completed, find, insert, record, same, tags, write } from "../../support/RepoKit.ts"
import { config, type Settings } from "../../support/TestLayers.ts"

describe("A server that is not supported", () => {
  for (const [version, why] of [
    ["8.0.36", "MySQL 8.0.36"],
    ["9.1.0-commercial", "MySQL 9.1.0-commercial"],
    ["10.5.23-MariaDB", "MariaDB 10.5.23"],
    ["10.6.0-MariaDB-log", undefined],
    ["11.4.2-MariaDB-ubu2404", undefined]
  ] as const) {
    it(`${version} is ${why ?? "none"}`, () => assert.strictEqual(unsupported(version), why))
  }

  it("is not one that may lose what it committed, but that is said", () => {
    assert.isUndefined(weakened({ flush_log: 1, log_bin: 0, sync_binlog: 0 }))
    assert.isUndefined(weakened({ flush_log: 1, log_bin: 1, sync_binlog: 1 }))
    assert.match(weakened({ flush_log: 2, log_bin: 0, sync_binlog: 0 }) ?? "", /^innodb_flush_log_at_trx_commit is 2: /)
    assert.match(weakened({ flush_log: 1, log_bin: 1, sync_binlog: 0 }) ?? "", /^sync_binlog is 0: /)
  })
})

describe("A server whose packets are small", () => {
  it.effect("is refused in a line that says what to set", () =>
    Effect.gen(function* () {
      const facts = { read_only: "OFF", max_packet: 16 * 1024 * 1024 }
      yield* checkServer("mariadb://shop", facts)
      const { lines } = yield* Effect.flip(checkServer("mariadb://shop", { ...facts, max_packet: 4 * 1024 * 1024 }))
      assert.deepStrictEqual(lines, [
        "DATABASE_URL: mariadb://shop: max_allowed_packet is 4194304: set it to 16777216 bytes or more in the server's " +
          "configuration"
      ])
    })
  )
})

describe.skipIf(!hasMariaDb)(`MariaDB${unlessMariaDb}`, () => {
  const { clean, fresh } = mariaDbDatabases()
  const query = (url: string, ...statements: ReadonlyArray<string>) =>
    Effect.promise(() => queryMariaDb(url, ...statements))

  /** The repository on that database, which lives as long as the test. */
  const open = (url: string, settings: Settings = {}) =>
    Effect.flatMap(serverBy(url), (server) => Layer.build(OrdersRepoMariaDb.layer(server))).pipe(
      Effect.provide(config(settings))
    )
  const refusal = (url: string) =>
    Effect.map(Effect.flip(Effect.scoped(open(url))), (error) => (error._tag === "StartupError" ? error.lines : []))

  it.scopedLive(
    "has a code for errors that the driver has no name for",
    () =>
      Effect.gen(function* () {
        const config = clientConfig(yield* serverBy(yield* fresh))
        const client = yield* Effect.acquireRelease(
          Effect.sync(() => new Client(config)),
          (client) => Effect.sync(() => client.abort("done"))
        )
        yield* client.ready
        const { executeRaw } = connectionOf(client)
        yield* executeRaw("SET SESSION max_statement_time = 0.05", [])
        const late = errorCode(yield* Effect.flip(executeRaw("SELECT SLEEP(60)", [])))
        assert.strictEqual(late, "ER_1969")
        assert.isTrue(mariaDbErrors.isUnavailable(late))
      }),
    longTest
  )

  const refused = (title: string, why: RegExp, prepare: (url: string) => Effect.Effect<string>) =>
    it.live(
      `does not start ${title}`,
      () =>
        Effect.gen(function* () {
          const lines = yield* refusal(yield* prepare(yield* fresh))
          assert.lengthOf(lines, 1)
          assert.match(lines[0] ?? "", why)
        }),
      longTest
    )

  refused("on a database that is not there", /^DATABASE_URL: mariadb:.*nowhere.*: create it/, (url) =>
    Effect.succeed(Object.assign(new URL(url), { pathname: "/nowhere_at_all" }).href)
  )
  refused("where no server is", /ECONNREFUSED.*: start the server, or correct/, (url) =>
    Effect.succeed(Object.assign(new URL(url), { port: "1" }).href)
  )
  refused("as a user that is not there", /Access denied.*: correct the user or the password/, (url) =>
    Effect.succeed(Object.assign(new URL(url), { username: "nobody_at_all", password: "x" }).href)
  )
  refused("beside tables of another program", /its tables are of another program/, (url) =>
    Effect.as(query(url, "CREATE TABLE orders (id integer)"), url)
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

  const changed = (what: string, why: string, ...statements: ReadonlyArray<string>) =>
    refused(
      `on tables where ${what}`,
      new RegExp(`^DATABASE_URL: mariadb:.*: its tables were changed by somebody else \\(${why}\\): undo that`),
      (url) =>
        Effect.gen(function* () {
          yield* Effect.scoped(Effect.orDie(open(url)))
          yield* query(url, ...statements)
          return url
        })
    )
  changed("a trigger is gone", "trigger orders_span after insert on orders is missing", "DROP TRIGGER orders_span")
  changed(
    "a column was added",
    "column orders.mine text is not ours",
    "ALTER TABLE orders ADD mine text COLLATE utf8mb4_nopad_bin"
  )

  it.scopedLive(
    "starts beside tables, views and plain indices of others",
    () =>
      Effect.gen(function* () {
        const url = yield* fresh
        yield* Effect.scoped(open(url))
        yield* query(
          url,
          "CREATE INDEX mine ON orders (accepted_at)",
          "CREATE VIEW mine_too AS SELECT * FROM orders",
          "CREATE TABLE others (id integer PRIMARY KEY)"
        )
        const repo = Context.get(yield* open(url), OrdersRepo)
        yield* repo.write([insert(1)])
      }),
    longTest
  )

  it.scoped(
    "answers reads that no connection is free for within seconds, and loses no connection by them",
    () =>
      Effect.gen(function* () {
        const url = yield* clean
        const repo = Context.get(yield* open(url), OrdersRepo)
        yield* repo.write([insert(1)])
        const blocker = yield* Effect.acquireRelease(
          Effect.promise(() => Mysql.createConnection({ uri: url })),
          (client) => Effect.promise(() => client.end())
        )
        yield* Effect.promise(() => blocker.query("LOCK TABLES orders WRITE"))
        const read = Effect.exit(repo.find(OrderId.make("1")))
        const reading = yield* Effect.replicateEffect(Effect.fork(read), 4)
        const givenUp = yield* Effect.fork(read)
        const late = yield* Effect.fork(read)
        while (Chunk.size(yield* TestClock.sleeps()) < 2) yield* Effect.yieldNow()
        yield* Fiber.interrupt(givenUp)
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(yield* Fiber.join(late), Exit.fail(new StorageUnavailable({})))
        assert.isTrue(reading.every((fiber) => fiber.unsafePoll() === null))
        yield* Effect.promise(() => blocker.query("UNLOCK TABLES"))
        const found = [...(yield* Effect.forEach(reading, Fiber.join)), ...(yield* Effect.replicateEffect(read, 9))]
        assert.isTrue(found.every(Exit.isSuccess))
      }),
    longTest
  )

  it.scopedLive(
    "does not start beside another process, and does after it; on another database it does",
    () =>
      Effect.gen(function* () {
        const url = yield* clean
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* open(url)
            assert.match(
              (yield* refusal(url)).join("\n"),
              /^DATABASE_URL: .*: in use by another process: stop that one first$/
            )
            yield* open(yield* clean)
          })
        )
        yield* open(url)
      }),
    longTest
  )

  it.scopedLive(
    "goes on with a first start that was cut short anywhere",
    () =>
      Effect.gen(function* () {
        const url = yield* fresh
        yield* Effect.scoped(open(url))
        yield* query(
          url,
          "DELETE FROM effect_sql_migrations",
          "DROP TRIGGER failures_removed",
          "DROP TABLE failures",
          "DELETE FROM totals"
        )
        const repo = Context.get(yield* open(url), OrdersRepo)
        yield* repo.write([insert(1)])
        assert.strictEqual((yield* repo.totals).Pending, 1)
        assert.lengthOf(yield* query(url, "SELECT * FROM effect_sql_migrations"), 1)
        assert.lengthOf(yield* query(url, "SHOW TRIGGERS"), 5)
      }),
    longTest
  )

  it.scopedLive(
    "finds all as it was when it is opened again",
    () =>
      Effect.gen(function* () {
        const url = yield* clean
        const before = yield* Effect.scoped(
          Effect.gen(function* () {
            const repo = Context.get(yield* open(url), OrdersRepo)
            yield* repo.write([insert(1, { metadata: { a: "\u0000\ud800é😀Я", b: "\\'\"" } }), insert(2), claim(1)])
            yield* repo.write([record(1, 1, completed(Option.some([1, null])))])
            return yield* repo.list({}, Option.none(), 9)
          })
        )
        const repo = Context.get(yield* open(url), OrdersRepo)
        same(yield* repo.list({}, Option.none(), 9), before)
        same((yield* repo.write([insert(3)])).results.length, 1)
      }),
    longTest
  )

  it.scopedLive(
    "removes the history when it is started with HISTORY=off",
    () =>
      Effect.gen(function* () {
        const url = yield* clean
        const inserting = (id: number, settings: Settings) =>
          Effect.scoped(
            Effect.gen(function* () {
              const repo = Context.get(yield* open(url, settings), OrdersRepo)
              yield* repo.write([insert(id)])
              return [yield* repo.historyRange, (yield* repo.changes({}, 0, 9)).found.map(({ id }) => id)]
            })
          )
        same(yield* inserting(1, {}), [{ from: 1, last: 1 }, [1]])
        same(yield* inserting(2, { history: Option.none() }), [{ from: 3, last: 2 }, []])
        same(yield* inserting(3, {}), [{ from: 3, last: 3 }, [3]])
      }),
    longTest
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
          const url = yield* clean
          const server = yield* serverBy(url)
          const layer = GroupCommit.layer.pipe(
            Layer.provideMerge(OrderEvents.layer),
            Layer.provideMerge(OrdersRepoMariaDb.layer(server)),
            Layer.provideMerge(config())
          )
          yield* Effect.flatMap(OrdersRepo, ({ fault }) => body(url, fault)).pipe(Effect.provide(layer))
        }),
      longTest
    )

  const lock = "CONCAT('orders ', MD5(DATABASE()))"
  /** Ends a session, which may have ended by itself. */
  const kill = (url: string, session: unknown) =>
    Effect.promise(() => queryMariaDb(url, `KILL ${session}`).catch(() => {}))
  const writerOf = (url: string) => Effect.map(query(url, `SELECT IS_USED_LOCK(${lock}) AS id`), ([row]) => row?.id)
  const endWriter = (url: string) => Effect.flatMap(writerOf(url), (id) => (id === null ? Effect.void : kill(url, id)))

  /** Another session that gets the lock as soon as nobody has it. */
  const waitingForLock = (url: string) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const client = await Mysql.createConnection({ uri: url })
        client.on("error", () => {})
        client.query(`SELECT GET_LOCK(${lock}, 60)`).catch(() => {})
        const waits = "SELECT 1 FROM information_schema.processlist WHERE state = 'User lock' AND db = DATABASE()"
        while ((await queryMariaDb(url, waits)).length === 0);
        return client
      }),
      (client) => Effect.promise(() => client.end().catch(() => {}))
    )

  running("goes on when its connections are ended by the server", (url) =>
    Effect.gen(function* () {
      const repo = yield* OrdersRepo
      yield* write(insert(1))
      yield* find(1)
      const sessions = yield* query(
        url,
        "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
      )
      assert.isAtLeast(sessions.length, 2)
      for (const { id } of sessions) yield* kill(url, id)
      while ((yield* writerOf(url)) !== null);
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
        Arr.range(1, 800),
        (id) =>
          Effect.flatMap(Effect.exit(write(insert(id))), (exit) =>
            Effect.sync(() => {
              if (Exit.isSuccess(exit)) acknowledged.push(id)
            })
          ),
        { concurrency: 20, discard: true }
      )
      const ending = Effect.whileLoop({
        while: () => !isOver,
        body: () => Effect.zipRight(Effect.sleep("60 millis"), endWriter(url)),
        step: () => {}
      })
      const over = Effect.sync(() => {
        isOver = true
      })
      yield* Effect.all([Effect.ensuring(submit, over), ending], { concurrency: 2 })
      assert.strictEqual((yield* settle(insert(9001)))._tag, "Inserted")
      assert.isAbove(acknowledged.length, 0)
      for (const id of acknowledged) yield* find(id)
      const { Pending: stored } = yield* repo.totals
      const [row] = yield* query(
        url,
        "SELECT count(*) AS orders, (SELECT count(*) FROM changes) AS changes, max(seq) AS last FROM orders"
      )
      assert.deepStrictEqual({ ...row }, { orders: stored, changes: stored, last: stored })
      assert.isAtLeast(stored, acknowledged.length + 1)
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
      const server = yield* Effect.flatMap(clean, serverBy)
      const sleepBy = (answerMillis: number) =>
        Effect.acquireUseRelease(
          Effect.sync(() => new Client({ ...clientConfig(server), answerMillis })),
          (client) => Effect.zipRight(client.ready, connectionOf(client).executeRaw("SELECT SLEEP(0.5)", [])),
          (client) => Effect.promise(client.end)
        )
      assert.strictEqual(messageOf(yield* Effect.flip(sleepBy(300))), "no answer within 0.3 seconds")
      yield* sleepBy(longTest)
    })
  )

  running("takes no order any more once another process has the lock", (url, fault) =>
    Effect.gen(function* () {
      yield* write(insert(1))
      yield* waitingForLock(url)
      yield* endWriter(url)
      // The first may only find out that its session was ended.
      while (!(yield* Deferred.isDone(fault))) {
        assert.deepStrictEqual(yield* Effect.exit(write(insert(2))), Exit.fail(new StorageUnavailable({})))
      }
      assert.strictEqual(yield* Deferred.await(fault), "another process uses the database")
      assert.deepStrictEqual(yield* Effect.exit(write(insert(3))), Exit.fail(new StorageUnavailable({})))
      yield* find(1)
    })
  )

  running("writes many large orders that are too much for one statement", (url) =>
    Effect.gen(function* () {
      const [packet] = yield* query(url, "SELECT @@max_allowed_packet AS most")
      const count = Math.ceil((1.5 * Number(packet?.most)) / 15_000)
      const repo = yield* OrdersRepo
      const many = Arr.range(1, count).map((id) => insert(id, { metadata: { text: '"'.repeat(3900) } }))
      const { writeAll } = yield* GroupCommit
      yield* writeAll(many)
      assert.strictEqual((yield* repo.totals).Pending, count)
      if (!Arr.isNonEmptyReadonlyArray(many)) return
      const cause = yield* Effect.flip(Effect.sandbox(repo.write(many)))
      assert.isTrue(Cause.isDie(cause))
      assert.include(messageOf(Cause.squash(cause)), "larger than max_allowed_packet")
    })
  )
})
