import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { loadDriver } from "../../src/store/sqlite/SqliteDriver.ts"
import { command } from "../support/CliCommand.ts"
import { cli } from "../support/CliProcess.ts"
import { aNewOrder, clockAhead, post, startService } from "../support/ServiceProcess.ts"
import { copyOf, temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

const Sqlite = loadDriver()

const database = "data/orders.db"

/** A database with orders that are done, its service stopped in order. */
const healthy = copyOf(
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const { child, exited, url } = yield* startService(folder, { PROCESSING_TIME: "0 millis" })
    for (let id = 1; id <= 40; id++) yield* Effect.promise(() => post(url, aNewOrder(id)))
    yield* until(async () => (await (await fetch(`${url}/api/metrics`)).text()).includes('"orders_completed":40'))
    child.kill("SIGTERM")
    yield* exited
    return folder
  })
)

const change = (folder: string, statements: string) =>
  Effect.sync(() => {
    const db = new Sqlite(Path.join(folder, database))
    db.exec(statements)
    db.pragma("wal_checkpoint(TRUNCATE)")
    db.close()
  })

interface Found {
  readonly name: string
  readonly state: string
  readonly found: string
}

const examine = Effect.fnUntraced(function* (folder: string) {
  const { code, stderr, stdout } = yield* command(["doctor", "--json"], { folder })
  assert.strictEqual(stderr, "")
  const { checks, ok }: { checks: ReadonlyArray<Found>; ok: boolean } = JSON.parse(stdout)
  assert.strictEqual(code, ok ? 0 : 1)
  return { ok, problems: checks.filter((check) => check.state !== "ok"), checks }
})

const finds = Effect.fnUntraced(function* (folder: string, name: string, state: string, found: RegExp) {
  const { problems } = yield* examine(folder)
  const check = problems.find((problem) => problem.name === name)
  assert.strictEqual(check?.state, state, JSON.stringify(problems))
  assert.match(check?.found ?? "", found)
  return problems.length
})

const cannotOpen = Effect.fnUntraced(function* (folder: string, file: string, line: RegExp) {
  const { code, stderr, stdout } = yield* command(["doctor", "--database", file], { folder })
  assert.strictEqual(code, 2, stdout + stderr)
  assert.strictEqual(stdout, "")
  assert.match(stderr, line)
  assert.strictEqual(stderr.trimEnd().split("\n").length, 1, stderr)
})

describe("orders doctor", () => {
  it.scopedLive("finds a healthy database healthy, stopped or running, and changes nothing", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      const file = Path.join(folder, database)
      const before = yield* Effect.promise(() => Fs.readFile(file))
      assert.isTrue((yield* examine(folder)).ok)
      assert.isTrue(before.equals(yield* Effect.promise(() => Fs.readFile(file))))

      const service = yield* startService(folder, { PROCESSING_TIME: "100 millis", WORKERS: "2" })
      for (let id = 100; id < 200; id++) yield* Effect.promise(() => post(service.url, aNewOrder(id)))
      const running = yield* examine(folder)
      assert.isTrue(running.ok, JSON.stringify(running))
      assert.match(JSON.stringify(running.checks), /"found":"running"/)
      const shown = yield* cli(["doctor", "--database", `file:${database}`], { folder })
      assert.match(shown.stdout, /^totals +ok +140 orders, as counted$/m)
    })
  )

  it.scopedLive("finds cooked totals", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      yield* change(folder, "UPDATE totals SET completed = completed + 1, processing_ms = -1")
      const problems = yield* finds(folder, "totals", "error", /^Completed 41, but 40 are there; processing time -1 ms/)
      assert.strictEqual(problems, 1)
    })
  )

  it.scopedLive("finds orders that differ from their history", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      const { checks } = yield* examine(folder)
      assert.strictEqual(
        checks.find(({ name }) => name === "history")?.found,
        "120 changes, the last of each order as the order is"
      )
      // An order whose oldest changes, or all of them, are not kept any more is well.
      yield* change(
        folder,
        `DELETE FROM changes WHERE seq = 2 AND to_status = 'Pending'; DELETE FROM changes WHERE seq = 3`
      )
      assert.isTrue((yield* examine(folder)).ok)
      yield* change(
        folder,
        `DELETE FROM changes WHERE seq = 5 AND to_status = 'Completed';
         UPDATE changes SET run = 2 WHERE seq = 7 AND to_status = 'Completed';
         UPDATE changes SET attempt = 0 WHERE seq = 9 AND to_status = 'Completed';
         UPDATE changes SET seq = 900 WHERE seq = 11;
         UPDATE changes SET id = 1000 + id WHERE seq = 13;
         UPDATE totals SET history_from = 500`
      )
      const problems = yield* finds(
        folder,
        "history",
        "error",
        /^orders that differ from their last change: 3 \(5, 7, 9\); changes of no order: 3 \(\d+, \d+, \d+\); changes with ids that are still to come: 3 \(1\d{3}, .*\); changes that are kept only later: 1 \(500\)$/
      )
      assert.strictEqual(problems, 1)
    })
  )

  it.scopedLive("finds what listings would miss", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      yield* change(folder, "UPDATE spans SET latest = earliest - 1; INSERT INTO failures VALUES ('none', 1)")
      const found =
        /^error codes counted otherwise than their Failed orders: 1; orders accepted outside of the time noted for their block: \d+$/
      const problems = yield* finds(folder, "listings", "error", found)
      assert.strictEqual(problems, 1)
    })
  )

  it.scopedLive("takes no time that a wrong clock left for damage", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const settings = { PROCESSING_TIME: "0 millis" }
      const [month, right] = [30 * 86_400_000, 0]
      for (const ahead of [month, right]) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { child, exited, url } = yield* startService(folder, { ...settings, ...clockAhead(ahead) })
            for (let id = 1; id <= 6; id++) yield* Effect.promise(() => post(url, aNewOrder(id + ahead)))
            yield* until(async () =>
              /"orders_completed":(6|12)\b/.test(await (await fetch(`${url}/api/metrics`)).text())
            )
            child.kill("SIGTERM")
            yield* exited
          })
        )
      }
      const { checks, ok } = yield* examine(folder)
      assert.isTrue(ok, JSON.stringify(checks))
      assert.match(JSON.stringify(checks), /6 orders with a time still to come: the clock of this machine was ahead/)
    })
  )

  it.scopedLive("finds a backup of a service that works healthy", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const settings = { PROCESSING_TIME: "1 minute", SHUTDOWN_GRACE: "0 millis" }
      const { url } = yield* startService(folder, settings)
      yield* Effect.promise(() => post(url, aNewOrder(77)))
      yield* until(async () => (await (await fetch(`${url}/api/order/77`)).text()).includes('"Processing"'))
      yield* change(folder, `VACUUM INTO '${Path.join(folder, "backup.db")}'`)
      const shown = yield* command(["doctor", "--database", "./backup.db"], { folder })
      assert.strictEqual(shown.code, 0, shown.stdout + shown.stderr)
      assert.match(shown.stdout, /^settings +ok +journal_mode delete, .*; the service sets wal when it starts$/m)
      assert.match(shown.stdout, /^processing +ok +1 order Processing; /m)
    })
  )

  it.scopedLive("knows orders left Processing by a crash", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      yield* Effect.scoped(
        Effect.gen(function* () {
          const settings = { PROCESSING_TIME: "1 hour", ATTEMPT_TIMEOUT: "2 hours" }
          const { child, exited, url } = yield* startService(folder, settings)
          yield* Effect.promise(() => post(url, aNewOrder(77)))
          yield* until(async () => (await (await fetch(`${url}/api/order/77`)).text()).includes('"Processing"'))
          const { problems } = yield* examine(folder)
          assert.deepStrictEqual(problems, [])
          child.kill("SIGKILL")
          yield* exited
        })
      )
      const { checks, ok } = yield* examine(folder)
      assert.isTrue(ok)
      assert.match(JSON.stringify(checks), /"1 order Processing; the service processes them again when it starts"/)
    })
  )

  it.scopedLive("finds orders long overdue, rows that contradict themselves and a changed schema", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      yield* change(
        folder,
        `UPDATE orders SET finished_at = NULL WHERE order_id = '3';
         UPDATE orders SET attempts = 9 WHERE order_id IN ('4', '5');
         INSERT INTO orders (order_id, status, user_id, item_ids, total_amount, accepted_at, due_at)
         VALUES ('900', 'Pending', '1', '[]', 1, 1, 1);
         DROP INDEX orders_failed`
      )
      yield* finds(
        folder,
        "orders",
        "error",
        /final without a time of finishing: 1 order \(3\).*2 orders \(4, 5\).*900/
      )
      yield* finds(folder, "pending", "warning", /^1 order of 1 Pending due for more than an hour$/)
      yield* finds(folder, "schema", "error", /^differs in: index orders_failed$/)
      const shown = yield* cli(["doctor"], { folder })
      assert.strictEqual(shown.code, 1)
      assert.match(shown.stdout, /^pending +No service runs: start it\.$/m)
    })
  )

  it.scopedLive("knows the tables of Litestream, and tells those of other programs from damage", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      yield* change(
        folder,
        `CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
         CREATE TABLE _litestream_lock (id INTEGER)`
      )
      assert.match(
        (yield* command(["doctor"], { folder })).stdout,
        /^schema +ok +.*as the migrations make them, and Litestream's$/m
      )
      yield* change(folder, "CREATE TABLE notes (text TEXT); CREATE INDEX notes_text ON notes (text)")
      yield* finds(folder, "schema", "warning", /and tables of another program: notes$/)
      yield* change(folder, "CREATE TRIGGER t AFTER INSERT ON orders BEGIN DELETE FROM notes; END")
      yield* finds(
        folder,
        "schema",
        "error",
        /^not made by this service, and may change what is stored and read: trigger t$/
      )
    })
  )

  it.scopedLive("looks at the schema first, and at nothing else where reading may run what a stranger put there", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      const endless = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS migration_id FROM c"
      yield* change(
        folder,
        `DROP TABLE effect_sql_migrations; CREATE VIEW effect_sql_migrations AS ${endless};
         DROP TABLE totals; CREATE VIEW totals AS ${endless}`
      )
      yield* finds(folder, "schema", "error", /^not made by .*: view effect_sql_migrations, view totals$/)
      const { checks } = yield* examine(folder)
      assert.deepStrictEqual(
        checks.map(({ name }) => name),
        ["service", "disk", "access", "schema"]
      )
      const backup = yield* command(["backup", "backup.db"], { folder })
      assert.strictEqual(backup.code, 1)
      assert.match(backup.stderr, /so it is not copied.*\n {2}schema: not made by this service/)
    })
  )

  it.scopedLive("names an operator's own index, which does no harm", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      yield* change(folder, "CREATE INDEX mine ON orders (currency)")
      const { checks } = yield* examine(folder)
      assert.deepInclude(
        checks.find(({ name }) => name === "schema"),
        {
          state: "ok",
          found: "22 tables and indices as the migrations make them, and an index of another program: mine"
        }
      )
    })
  )

  it.scopedLive("says what others may do with the files, and what to do", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      const file = Path.join(folder, database)
      yield* Effect.promise(() => Fs.chmod(folder, 0o755))
      yield* Effect.promise(() => Fs.chmod(Path.dirname(file), 0o755))
      assert.isTrue((yield* examine(folder)).ok)
      yield* Effect.promise(() => Fs.chmod(file, 0o664))
      yield* finds(folder, "access", "warning", /^other users may read or write .*orders\.db \(mode 0664\)/)
      const { stdout } = yield* command(["doctor"], { folder })
      assert.match(stdout, /^access +chmod 600 .*\/orders\.db/m)
    })
  )

  it.scopedLive("finds a damaged page", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      const file = Path.join(folder, database)
      const db = new Sqlite(file, { readonly: true })
      const root = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'orders_user'").pluck().get()
      const size = db.pragma("page_size", { simple: true })
      db.close()
      const handle = yield* Effect.promise(() => Fs.open(file, "r+"))
      yield* Effect.promise(() => handle.write(Buffer.alloc(64, 0xff), 0, 64, (Number(root) - 1) * Number(size)))
      yield* Effect.promise(() => handle.close())
      yield* finds(folder, "integrity", "error", /./)
    })
  )

  it.scopedLive("finds the first pages damaged, the header too", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      const file = Path.join(folder, database)
      const whole = yield* Effect.promise(() => Fs.readFile(file))
      for (const [from, to, found] of [
        [100, 4096, /malformed/],
        [4096, 20_000, /./],
        [0, 64, /not a database/],
        [0, 4096, /not a database/]
      ] as const) {
        yield* Effect.promise(() => Fs.writeFile(file, Buffer.from(whole).fill(0xa5, from, to)))
        yield* finds(folder, "integrity", "error", found)
        const shown = yield* command(["doctor"], { folder })
        assert.strictEqual(shown.code, 1)
        assert.match(shown.stdout, /^integrity +Stop the service, and go back to a backup/m)
      }
    })
  )

  it.scopedLive("says in one line why it cannot look", () =>
    Effect.gen(function* () {
      const folder = yield* healthy
      yield* cannotOpen(folder, "file:nowhere.db", /^There is no database at .*nowhere\.db/)
      yield* cannotOpen(folder, "./nowhere.db", /^There is no database at .*nowhere\.db/)
      yield* cannotOpen(folder, "postgres://nowhere", /^--database: given "postgres:\/\/nowhere"/)
      yield* cannotOpen(
        folder,
        "file:~/orders.db",
        /^--database: given "file:~\/orders\.db".*; ~ is not read as the home/
      )
      yield* cannotOpen(folder, "~/orders.db", /^--database: given "~\/orders\.db".*; ~ is not read as the home/)
      yield* cannotOpen(folder, ":memory:", /^--database: given ":memory:"/)
      yield* Effect.promise(() => Fs.writeFile(Path.join(folder, "notes.txt"), "not a database, and long enough\n"))
      yield* cannotOpen(folder, "file:notes.txt", /notes\.txt is not a SQLite database/)
      new Sqlite(Path.join(folder, "other.db")).exec("CREATE TABLE things (id)").close()
      yield* cannotOpen(folder, "file:other.db", /other\.db is a database of another program/)
      yield* change(folder, "INSERT INTO effect_sql_migrations (migration_id, name) VALUES (9999, 'later')")
      yield* cannotOpen(folder, `file:${database}`, /made by a newer version/)
    })
  )
})
