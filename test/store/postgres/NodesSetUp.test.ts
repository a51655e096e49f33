import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Effect, Layer, Option } from "effect"
import * as PgBoss from "pg-boss"
import packageJson from "pg-boss/package.json" with { type: "json" }
import { Command } from "../../../src/store/Command.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { engineTables } from "../../../src/store/postgres/EngineTables.ts"
import { migrations } from "../../../src/store/postgres/Migrations.ts"
import * as OrdersRepoPostgres from "../../../src/store/postgres/OrdersRepoPostgres.ts"
import { engineVersion } from "../../../src/store/postgres/PgBossEngine.ts"
import { latestOf } from "../../../src/store/server/Tables.ts"
import { hasPostgres, postgresSchemas, queryPostgres, serverBy, unlessPostgres } from "../../support/Postgres.ts"
import { claim, completed, insert, record } from "../../support/RepoKit.ts"
import { config } from "../../support/TestLayers.ts"

describe("The engine", () => {
  it("is of the version that is named, with tables of that version", () => {
    const { pgboss, version } = packageJson
    assert.deepStrictEqual([version, pgboss.schema], [engineVersion, engineTables])
  })
})

describe.skipIf(!hasPostgres)(`Nodes on PostgreSQL${unlessPostgres}`, () => {
  const schemas = postgresSchemas()
  const query = (url: string, ...statements: ReadonlyArray<string>) =>
    Effect.promise(() => queryPostgres(url, ...statements))

  /** The repository of one node, which lives as long as the scope. */
  const open = (url: string, queue: "memory" | "pg-boss" = "pg-boss") =>
    Effect.flatMap(serverBy(url), (server) => Layer.build(OrdersRepoPostgres.layer(server))).pipe(
      Effect.map(Context.get(OrdersRepo)),
      Effect.provide(config({ queue }))
    )
  const refusal = (url: string, queue?: "memory" | "pg-boss") =>
    Effect.map(Effect.flip(Effect.scoped(open(url, queue))), (error) =>
      error._tag === "StartupError" ? error.lines : []
    )

  const engineSchemaOf = (url: string) => `pgboss_${/test_\d+$/.exec(url)}`
  const engineTablesOf = (url: string) =>
    Effect.map(query(url, `SELECT version FROM ${engineSchemaOf(url)}.version`), ([row]) => row?.version)
  /** The engine's tables as the version before had them. */
  const toOlderEngine = (url: string) => query(url, PgBoss.getRollbackPlans(engineSchemaOf(url), engineTables))

  const isRefused = (url: string, why: RegExp, queue?: "memory" | "pg-boss") =>
    Effect.map(refusal(url, queue), (lines) => {
      assert.lengthOf(lines, 1)
      assert.match(lines[0] ?? "", why)
    })
  const older = /nodes of an older version use its tables, which this version has to change: stop all of them, then/
  const newer = /a database of a newer version of this service: start that version$/

  it.scopedLive("start at once on an empty schema, and beside each other", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const nodes = yield* Effect.all([open(url), open(url), open(url)], { concurrency: "unbounded" })
      for (const [index, node] of nodes.entries()) yield* node.write([insert(index + 1)])
      assert.strictEqual((yield* nodes[0].totals).Pending, 3)
      assert.strictEqual(yield* engineTablesOf(url), engineTables)
    })
  )

  it.scopedLive.each([["memory", "pg-boss"] as const, ["pg-boss", "memory"] as const])(
    "and a process that is alone do not share a schema: %s first, then %s",
    ([first, second]) =>
      Effect.gen(function* () {
        const url = yield* schemas
        const running = yield* open(url, first)
        yield* isRefused(url, /^DATABASE_URL: .*: in use by another process: stop that one first$/, second)
        yield* running.write([insert(1)])
      })
  )

  it.scopedLive.each([11, -11])("do not start with a clock that is off by %i s", (seconds) =>
    Effect.gen(function* () {
      const clock = Clock.make()
      const off: Clock.Clock = {
        ...clock,
        unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
        unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + seconds * 1000,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (millis) => millis + seconds * 1000)
      }
      yield* Effect.withClock(
        isRefused(yield* schemas, /: its clock and this node's are 1[01] s apart: set both right: 10 s are the most/),
        off
      )
    })
  )

  it.scopedLive("do not change the engine's tables while another is at work, and do when they all start anew", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      yield* Effect.scoped(
        Effect.gen(function* () {
          const node = yield* open(url)
          yield* toOlderEngine(url)
          yield* isRefused(url, older)
          yield* node.write([insert(1)])
        })
      )
      assert.strictEqual(yield* engineTablesOf(url), engineTables - 1)
      yield* Effect.all([open(url), open(url)], { concurrency: "unbounded" })
      assert.strictEqual(yield* engineTablesOf(url), engineTables)
    })
  )

  it.scopedLive("do not migrate while another is at work, and do after it", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const last = `migration_id = ${latestOf(migrations)}`
      yield* Effect.scoped(
        Effect.gen(function* () {
          const node = yield* open(url)
          yield* query(url, `DELETE FROM effect_sql_migrations WHERE ${last}`, "DROP TABLE nodes")
          yield* isRefused(url, older)
          yield* node.write([insert(1)])
        })
      )
      yield* Effect.all([open(url), open(url)], { concurrency: "unbounded" })
      assert.lengthOf(yield* query(url, `SELECT 1 FROM effect_sql_migrations WHERE ${last}`), 1)
    })
  )

  it.scopedLive("do not start on tables of a newer version, be they the engine's", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      yield* Effect.scoped(open(url))
      yield* query(url, `UPDATE ${engineSchemaOf(url)}.version SET version = version + 1`)
      yield* isRefused(url, newer)
      yield* query(url, `UPDATE ${engineSchemaOf(url)}.version SET version = version - 1`)
      yield* query(url, "INSERT INTO effect_sql_migrations (migration_id, name) VALUES (999, 'later')")
      yield* isRefused(url, newer)
    })
  )

  it.scopedLive("remove the job of an order that one process has ended meanwhile, and put back that of another", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      yield* Effect.scoped(
        Effect.gen(function* () {
          const node = yield* open(url)
          yield* node.write([insert(1), insert(2)])
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const alone = yield* open(url, "memory")
          yield* alone.write([claim(1), record(1, 1, completed())])
        })
      )
      const node = yield* open(url)
      const { fetch } = Option.getOrThrow(node.nodes)
      const jobs = yield* fetch("open", 9)
      assert.lengthOf(jobs, 2)
      yield* node.write([Command.PutBack({ jobs })])
      const left = yield* fetch("open", 9)
      assert.deepStrictEqual(
        left.map(({ key }) => key),
        jobs.slice(1).map(({ key }) => key)
      )
    })
  )

  it.scopedLive("take no order once a newer version has changed the tables while they had no connection", () =>
    Effect.gen(function* () {
      const url = yield* schemas
      const node = yield* open(url)
      const loseConnection = query(
        url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'orders %' AND pid IN " +
          "(SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1330791506 AND " +
          "objid = (hashtext(current_schema())::bigint & 4294967295)::oid)"
      )
      yield* loseConnection
      yield* node.write([insert(1)])
      yield* query(url, "INSERT INTO effect_sql_migrations (migration_id, name) VALUES (999, 'later')")
      yield* node.write([insert(2)])
      yield* loseConnection
      yield* Effect.flip(node.write([insert(3)]))
      assert.strictEqual(yield* Deferred.await(node.fault), "a newer version has changed its tables")
      assert.strictEqual((yield* node.totals).Pending, 2)
    })
  )
})
