import type { ChildProcess } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Logger, LogLevel } from "effect"
import * as Pg from "pg"
import { cli, startCli } from "../support/CliProcess.ts"
import { connect } from "../support/Database.ts"
import { fill } from "../support/MovedOrders.ts"
import { hasPostgres, postgresSchemas, queryPostgres, unlessPostgres } from "../support/Postgres.ts"
import { startService } from "../support/ServiceProcess.ts"
import { config, copyOf, sqlRepo, temporaryFolder } from "../support/TestLayers.ts"
import { until } from "../support/Until.ts"

/** How many orders are moved, or as many as are asked for: then it is also shown how long that took. */
const asked = process.env.MIGRATE_ORDERS
const count = Number(asked ?? 5000)

/** A folder with a database of many orders. */
const filled = copyOf(
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const databaseFile = Path.join(folder, "orders.db")
    yield* Effect.scoped(fill(count)).pipe(
      Effect.provide(sqlRepo.pipe(Layer.provide(config({ databaseFile })))),
      Effect.orDie
    )
    return folder
  })
)

const orders = (file: string) =>
  connect(file, (db) => [
    db.prepare("SELECT * FROM orders ORDER BY seq").all(),
    db.prepare("SELECT * FROM changes ORDER BY id").all()
  ])

const words = (from: string, to: string) => ["migrate", "--from", from, "--to", to]

describe.skipIf(!hasPostgres)(`orders migrate${unlessPostgres}`, { timeout: 300_000 }, () => {
  const schemas = postgresSchemas()
  const query = (url: string, ...statements: ReadonlyArray<string>) =>
    Effect.promise(() => queryPostgres(url, ...statements))

  /** A move waits for a lock that somebody else has: it is in the middle. */
  const isWaiting = (url: string) =>
    Effect.map(
      query(
        url,
        `SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'orders move%' AND wait_event_type = 'Lock'`
      ),
      (rows) => rows.length > 0
    )

  /** The doctor, who comes first, gives up a statement that is cancelled, as it does one that takes too long. */
  const hurryDoctor = (url: string) =>
    query(
      url,
      `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'orders doctor' AND wait_event_type = 'Lock'`
    )

  /** Keeps everybody from a table for as long as the scope. */
  const lock = (url: string, table: string) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const client = new Pg.Client({ connectionString: url })
        await client.connect()
        await client.query(`BEGIN; LOCK TABLE ${table}`)
        return client
      }),
      (client) => Effect.promise(() => client.end())
    )

  /** Starts the service on a database for a moment, which makes its tables. */
  const makeTables = (url: string) =>
    Effect.scoped(Effect.flatMap(temporaryFolder, (folder) => startService(folder, { DATABASE_URL: url })))

  /** Begins a move, and ends it in that way while it waits for a table that somebody has locked: how it ended. */
  const cutOff = (
    url: string,
    table: string,
    args: ReadonlyArray<string>,
    end: (child: ChildProcess) => Effect.Effect<unknown>
  ) =>
    Effect.scoped(
      Effect.gen(function* () {
        yield* lock(url, table)
        const { child, ended } = yield* startCli(args)
        yield* until(Effect.zipRight(hurryDoctor(url), isWaiting(url)))
        yield* end(child)
        return yield* ended
      })
    )
  const kill = (signal: "SIGKILL" | "SIGINT") => (child: ChildProcess) => Effect.sync(() => child.kill(signal))

  it.scopedLive("moves many orders there and back", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const [file, back] = [Path.join(folder, "orders.db"), Path.join(folder, "back.db")]
      const url = yield* schemas
      for (const [from, to] of [
        [file, url],
        [url, back]
      ] as const) {
        const [took, { code, stderr, stdout }] = yield* Effect.timed(cli(words(from, to)))
        assert.strictEqual(code, 0, stderr)
        if (asked !== undefined)
          yield* Logger.withMinimumLogLevel(Effect.log(`${count} orders in ${Duration.format(took)}`), LogLevel.Info)
        assert.match(stdout, /^compared +every column of every row, read again on both sides: equal$/m)
      }
      assert.deepStrictEqual(orders(back), orders(file))
    })
  )

  it.scopedLive("leaves a server as it was when it is killed in the middle, and begins anew", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const file = Path.join(folder, "orders.db")
      const url = yield* schemas
      yield* makeTables(url)
      const left = () => query(url, "SELECT seq FROM orders UNION ALL SELECT last_change FROM totals")

      assert.strictEqual((yield* cutOff(url, "changes", words(file, url), kill("SIGKILL"))).code, "SIGKILL")
      assert.deepStrictEqual(yield* left(), [{ seq: "0" }])
      assert.strictEqual((yield* cutOff(url, "changes", words(file, url), kill("SIGINT"))).code, 130)
      assert.deepStrictEqual(yield* left(), [{ seq: "0" }])

      const server = yield* cutOff(url, "changes", words(file, url), () =>
        query(
          url,
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name LIKE 'orders move%'`
        )
      )
      assert.strictEqual(server.code, 1)
      assert.match(server.stderr, /^postgres:.*: terminating connection/m)
      assert.deepStrictEqual(yield* left(), [{ seq: "0" }])

      const again = yield* cli(words(file, url))
      assert.strictEqual(again.code, 0, again.stderr)
    })
  )

  it.scopedLive(
    "leaves no file that a service could be started on when it is killed in the middle, and begins anew",
    () =>
      Effect.gen(function* () {
        const folder = yield* filled
        const [file, back] = [Path.join(folder, "orders.db"), Path.join(folder, "back/orders.db")]
        const url = yield* schemas
        assert.strictEqual((yield* cli(words(file, url))).code, 0)
        assert.strictEqual((yield* cutOff(url, "failures", words(url, back), kill("SIGKILL"))).code, "SIGKILL")
        assert.isFalse(Fs.existsSync(back))
        assert.strictEqual((yield* cutOff(url, "failures", words(url, back), kill("SIGINT"))).code, 130)
        assert.deepStrictEqual(Fs.readdirSync(Path.dirname(back)), ["orders.db.lock"])

        const again = yield* cli(words(url, back))
        assert.strictEqual(again.code, 0, again.stderr)
        assert.deepStrictEqual(orders(back), orders(file))
        yield* startService(folder, { DATABASE_URL: `file:${back}` })
      })
  )
})
