import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { checkTls } from "../../src/cli/ServerCheckup.ts"
import * as OrdersRepoMariaDb from "../../src/store/mariadb/OrdersRepoMariaDb.ts"
import * as OrdersRepoPostgres from "../../src/store/postgres/OrdersRepoPostgres.ts"
import { command } from "../support/CliCommand.ts"
import { longTest } from "../support/Limits.ts"
import { hasMariaDb, mariaDbDatabases, queryMariaDb, unlessMariaDb } from "../support/MariaDb.ts"
import { fill } from "../support/MovedOrders.ts"
import { hasPostgres, postgresSchemas, queryPostgres, serverBy, unlessPostgres } from "../support/Postgres.ts"
import { config, temporaryFolder } from "../support/TestLayers.ts"

interface Found {
  readonly name: string
  readonly state: string
  readonly found: string
}

const wellNames = [
  ...["service", "server", "tls", "durability", "migrations", "schema", "totals", "listings", "processing", "pending"],
  ...["suspects", "clock", "orders", "history"]
]

describe("what orders doctor says of TLS", () => {
  it("warns where what is sent leaves this machine as it is", () => {
    for (const host of ["127.0.0.1", "localhost", "::1", "/run/postgresql"]) {
      assert.strictEqual(checkTls({ kind: "postgres", host }, { tls: undefined }).state, "ok", host)
    }
    const host = "db.shop.test"
    assert.include(checkTls({ kind: "postgres", host }, { tls: "TLSv1.3" }), { state: "ok", found: "TLSv1.3" })
    for (const [kind, advice] of [
      ["postgres", "Name sslmode=verify-full and sslrootcert in the URL."],
      ["mariadb", "Name ssl-mode=VERIFY_IDENTITY and ssl-ca in the URL."]
    ] as const) {
      assert.include(checkTls({ kind, host }, { tls: undefined }), { state: "warning", advice })
    }
  })
})

const postgres = {
  databases: postgresSchemas,
  run: queryPostgres,
  repo: OrdersRepoPostgres.layer,
  scheme: "postgres:",
  server: /^PostgreSQL \d+.*, encoding UTF8, takes writes$/
}
const mariaDb: typeof postgres = {
  databases: () => mariaDbDatabases().fresh,
  run: queryMariaDb,
  repo: OrdersRepoMariaDb.layer,
  scheme: "mariadb:",
  server: /^MariaDB \d+\.\d+\.\d+, takes writes$/
}

const examine = (url: string, args: ReadonlyArray<string> = [], env: Record<string, string> = {}) =>
  Effect.map(
    command(["doctor", "--json", ...args], { env: { DATABASE_URL: url, ...env } }),
    ({ code, stderr, stdout }) => {
      assert.strictEqual(stderr, "")
      const { checks, ok }: { checks: ReadonlyArray<Found>; ok: boolean } = JSON.parse(stdout)
      assert.strictEqual(code, ok ? 0 : 1)
      return { checks, problems: checks.filter(({ state }) => state !== "ok") }
    }
  )
const of = (checks: ReadonlyArray<Found>, name: string) => checks.find((check) => check.name === name)

const suite = ({ databases, repo, run, scheme, server: serverFound }: typeof postgres) => {
  const fresh = databases()
  const query = (url: string, ...statements: ReadonlyArray<string>) => Effect.promise(() => run(url, ...statements))

  /** A database with orders, as its URL, and a service on it for as long as the scope. */
  const filled = Effect.gen(function* () {
    const url = yield* fresh
    const server = yield* serverBy(url)
    yield* fill(20).pipe(Effect.provide(repo(server)), Effect.provide(config()), Effect.orDie)
    return { url, server }
  })

  it.scopedLive(
    "finds a database well, whether a service has it or not, and changes nothing",
    () =>
      Effect.gen(function* () {
        const { server, url } = yield* filled
        // Of orders with times soon after 1970, those that wait are long due.
        yield* query(url, "UPDATE orders SET due_at = 10000000000000 WHERE status = 'Pending'")
        const { checks, problems } = yield* examine(url)
        assert.deepStrictEqual(problems, [])
        assert.deepStrictEqual(
          checks.map(({ name }) => name),
          wellNames
        )
        assert.strictEqual(of(checks, "service")?.found, "not running")
        assert.match(of(checks, "server")?.found ?? "", serverFound)
        assert.strictEqual(of(checks, "totals")?.found, "28 orders, as counted")
        yield* Layer.build(repo(server)).pipe(Effect.provide(config()))
        assert.strictEqual(of((yield* examine(url)).checks, "service")?.found, "running")
      }),
    longTest
  )

  it.scopedLive(
    "takes the place by --database, and says in a line why it cannot look",
    () =>
      Effect.gen(function* () {
        const { url } = yield* filled
        assert.isNotEmpty((yield* examine("file:./none.db", ["--database", url])).checks)
        const folder = yield* temporaryFolder
        const fails = Effect.fnUntraced(function* (url: string, line: RegExp) {
          const { code, stderr, stdout } = yield* command(["doctor"], { env: { DATABASE_URL: url } })
          assert.deepStrictEqual([code, stdout], [2, ""])
          assert.match(stderr, line)
          assert.notInclude(stderr, "s3cret")
        })
        yield* fails(yield* fresh, new RegExp(`^${scheme}.*: there are no tables of this service in it: name`))
        yield* fails(
          Object.assign(new URL(url), { port: "1", password: "s3cret" }).href,
          /ECONNREFUSED.*: start the server/
        )
        yield* fails(`${scheme}//x:s3cret@`, new RegExp(`^DATABASE_URL: given "${scheme}/`))
        yield* fails(`file:${Path.join(folder, "none.db")}`, /^There is no database at/)
        yield* query(url, "INSERT INTO effect_sql_migrations (migration_id, name) VALUES (999, 'later')")
        yield* fails(url, /is of a newer version of this service/)
      }),
    longTest
  )

  for (const [change, name, found] of [
    ["UPDATE totals SET failed = 9", "totals", /Failed 9, but \d are there/],
    ["UPDATE totals SET processing_ms = 1", "totals", /processing time 1 ms, but the orders took/],
    ["DELETE FROM totals", "totals", /lost its row/],
    ["UPDATE failures SET count = count + 1", "listings", /error codes counted otherwise than their Failed orders: \d/],
    ["UPDATE totals SET failure_codes = 90", "listings", /error codes more or fewer than are counted: \d/],
    ["UPDATE spans SET latest = 0", "listings", /orders accepted outside of the time noted for their block: \d/],
    ["UPDATE orders SET started_at = NULL WHERE seq = 1", "orders", /without a run: 1 order \(A\)/],
    ["INSERT INTO pruned VALUES ('A', '', 'Completed', 0)", "orders", /also among the removed: 1 order \(A\)/],
    ["UPDATE orders SET run = 7 WHERE seq = 1", "history", /orders that differ from their last change: 1 \(A\)/],
    ["UPDATE changes SET seq = 500 WHERE seq = 1", "history", /changes of no order: \d/],
    ["UPDATE totals SET last_change = 1", "history", /changes with ids that are still to come/],
    ["ALTER TABLE orders ADD COLUMN mine text", "schema", /column orders.mine text is not ours/]
  ] as const) {
    it.scopedLive(
      `finds what was changed: ${change}`,
      () =>
        Effect.gen(function* () {
          const { url } = yield* filled
          yield* query(url, change)
          const check = of((yield* examine(url)).checks, name)
          assert.strictEqual(check?.state, "error")
          assert.match(check?.found ?? "", found)
        }),
      longTest
    )
  }
  return { filled }
}

describe.skipIf(!hasPostgres)(`orders doctor, PostgreSQL${unlessPostgres}`, () => {
  const { filled } = suite(postgres)

  it.scopedLive("does not judge the tables of an older version by those of this one", () =>
    Effect.gen(function* () {
      const { url } = yield* filled
      const drop = ["DROP TABLE nodes", "DELETE FROM effect_sql_migrations WHERE migration_id = 2"]
      yield* Effect.promise(() => queryPostgres(url, ...drop))
      const { checks, problems } = yield* examine(url)
      assert.strictEqual(of(problems, "migrations")?.found, "1 of 2 are applied")
      assert.lengthOf(problems, 1)
      assert.isUndefined(of(checks, "schema"))
    })
  )

  it.scopedLive("warns of settings that weaken the promise", () =>
    Effect.gen(function* () {
      const { url } = yield* filled
      const { problems } = yield* examine(`${url}%20-c%20synchronous_commit%3Doff`)
      assert.strictEqual(of(problems, "durability")?.state, "warning")
      assert.match(of(problems, "durability")?.found ?? "", /^synchronous_commit is off/)
    })
  )
})

describe.skipIf(!hasMariaDb)(`orders doctor, MariaDB${unlessMariaDb}`, () => {
  const { filled } = suite(mariaDb)

  for (const [change, found] of [
    ["DROP TRIGGER orders_span", "trigger orders_span after insert on orders is missing"],
    [
      "CREATE TRIGGER mine BEFORE UPDATE ON spans FOR EACH ROW SET new.latest = 0",
      "trigger mine before update on spans is not ours"
    ],
    ["ALTER TABLE changes ADD UNIQUE INDEX mine (at, id)", "index changes.mine is not ours"],
    ["DROP INDEX orders_user ON orders", "index orders.orders_user is missing"],
    ["ALTER TABLE orders MODIFY attempts int NOT NULL DEFAULT 0", "constraint orders.attempts is missing"],
    ["ALTER TABLE failures ENGINE=Aria", "table failures is missing, Aria table failures is not ours"],
    [
      "ALTER TABLE pruned MODIFY fingerprint varchar(255) COLLATE utf8mb4_general_ci NOT NULL",
      "column pruned.fingerprint varchar(255) is missing, column pruned.fingerprint varchar(255) by utf8mb4_general_ci is not ours"
    ],
    [
      "ALTER TABLE changes ADD CONSTRAINT mine FOREIGN KEY (seq) REFERENCES orders (seq)",
      "foreign key changes.mine is not ours"
    ]
  ] as const) {
    it.scopedLive(
      `finds tables that are not as they were made: ${change}`,
      () =>
        Effect.gen(function* () {
          const { url } = yield* filled
          yield* Effect.promise(() => queryMariaDb(url, "SET foreign_key_checks = 0", change))
          assert.strictEqual(of((yield* examine(url)).checks, "schema")?.found, found)
        }),
      longTest
    )
  }

  it.scopedLive(
    "lets an index be that somebody made to look something up",
    () =>
      Effect.gen(function* () {
        const { url } = yield* filled
        yield* Effect.promise(() => queryMariaDb(url, "CREATE INDEX mine ON orders (currency)"))
        assert.strictEqual(of((yield* examine(url)).checks, "schema")?.state, "ok")
      }),
    longTest
  )
})
