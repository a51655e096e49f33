import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Predicate } from "effect"
import * as Pg from "pg"
import { OrderId } from "../../../src/order/Order.ts"
import { Command, type Filter } from "../../../src/store/Command.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import * as OrdersRepoSql from "../../../src/store/OrdersRepoSql.ts"
import { postgresCompiler } from "../../../src/store/postgres/PostgresCompiler.ts"
import { postgresDialect } from "../../../src/store/postgres/PostgresDialect.ts"
import { byIndices, clientConfig, connectionOfPool, makePool } from "../../../src/store/postgres/PostgresDriver.ts"
import { postgresErrors } from "../../../src/store/postgres/PostgresErrors.ts"
import { postgresDriver } from "../../../src/store/postgres/PostgresSession.ts"
import { setUp } from "../../../src/store/postgres/SetUp.ts"
import * as ServerStatements from "../../../src/store/server/ServerStatements.ts"
import { makeWriter, ServerWriter } from "../../../src/store/server/Writer.ts"
import { longTest } from "../../support/Limits.ts"
import { hasPostgres, postgresSchemas, queryPostgres, serverBy, unlessPostgres } from "../../support/Postgres.ts"
import {
  at,
  cancel,
  claim,
  completed,
  failed,
  insert,
  postponed,
  rebase,
  record,
  recover,
  release,
  releaseOne,
  reopen,
  reopenMany
} from "../../support/RepoKit.ts"
import { config } from "../../support/TestLayers.ts"

type Use = (repo: Context.Tag.Service<OrdersRepo>) => Effect.Effect<unknown, unknown>

/** 50,000 orders: of one user every second; of 20 codes one tenth is Failed; 100 are Processing. */
const fill = `
  INSERT INTO orders (
    order_id, status, user_id, item_ids, total_amount, run, attempts, accepted_at, due_at, started_at, finished_at,
    last_error, error_code
  )
  SELECT
    id, status, CASE id % 2 WHEN 0 THEN 'often' ELSE (id % 5000)::text END, '["1","2"]', 1, 1, 1, id, id, id,
    CASE WHEN status IN ('Completed', 'Failed', 'Cancelled') THEN id END,
    CASE status WHEN 'Failed' THEN '{"code":"x","message":"y","attempt":1,"at":"2026-01-31T12:00:00.000Z"}' END,
    CASE status WHEN 'Failed' THEN 'code ' || id % 20 END
  FROM (
    SELECT
      id,
      CASE
        WHEN id > 49000 THEN 'Pending' WHEN id > 48900 THEN 'Processing' WHEN id % 10 = 3 THEN 'Failed'
        WHEN id % 100 = 4 THEN 'Cancelled' ELSE 'Completed'
      END AS status
    FROM generate_series(1, 50000) AS given (id)
  ) AS made`
const fillChanges = `
  INSERT INTO changes (id, seq, to_status, at, run, attempt, reason)
  SELECT id, (id + 2) / 3, 'Pending', id, 0, 0, 'accepted' FROM generate_series(1, 150000) AS given (id)`
const fillTotals = `
  UPDATE totals SET (pending, processing, completed, failed, cancelled, last_change) = (
    SELECT
      count(*) FILTER (WHERE status = 'Pending'), count(*) FILTER (WHERE status = 'Processing'),
      count(*) FILTER (WHERE status = 'Completed'), count(*) FILTER (WHERE status = 'Failed'),
      count(*) FILTER (WHERE status = 'Cancelled'), 150000
    FROM orders
  )`
const fillFailures = `
  INSERT INTO failures SELECT error_code, count(*) FROM orders WHERE status = 'Failed' GROUP BY error_code`
const fillPruned = `
  INSERT INTO pruned SELECT 'gone-' || id, 'x', 'Completed', id FROM generate_series(1, 50000) AS given (id)`

/** A statement that was made, and whether it is prepared: then it is planned for any values after a while. */
interface Noted {
  readonly params: ReadonlyArray<unknown>
  readonly isPrepared: boolean
}

/** The repository on a database, and the statements that a use of it makes. */
const noting = (settings: Pg.ClientConfig, shown: string) =>
  Effect.gen(function* () {
    const noted = new Map<string, Noted>()
    const notingOf = (connection: Connection, isPrepared: boolean): Connection => ({
      ...connection,
      execute: (statement, params, transform) => {
        noted.set(statement, { params, isPrepared })
        return connection.execute(statement, params, transform)
      }
    })
    const driver = postgresDriver(settings, "plans", false)
    const writer = yield* makeWriter({
      ...driver,
      open: Effect.map(driver.open, (session) => ({ ...session, connection: notingOf(session.connection, true) }))
    })
    const pool = yield* makePool(settings, 1)
    const sql = yield* SqlClient.make({
      acquirer: Effect.succeed(notingOf(connectionOfPool(pool), false)),
      transactionAcquirer: Effect.dieMessage("Only the writer makes transactions"),
      compiler: postgresCompiler,
      spanAttributes: []
    }).pipe(Effect.provide(Reactivity.layer))
    yield* writer.transaction(setUp(sql, shown, true))
    const repo = yield* Layer.build(
      OrdersRepoSql.layer.pipe(Layer.provide(ServerStatements.layer(postgresDialect, postgresErrors)))
    ).pipe(
      Effect.map(Context.get(OrdersRepo)),
      Effect.provideService(SqlClient.SqlClient, sql),
      Effect.provideService(ServerWriter, writer)
    )
    return { noted, repo }
  })

/** A value as it stands in SQL. */
const literal = (value: unknown) => {
  if (value === null || typeof value === "number") return String(value)
  return Buffer.isBuffer(value) ? `'\\x${value.toString("hex")}'` : `'${String(value).replaceAll("'", "''")}'`
}

/** A step of a plan, as far as it is looked at. */
interface Step {
  readonly kind: unknown
  readonly table: unknown
  readonly index: unknown
  readonly rows: unknown
  readonly condition: unknown
  readonly filter: unknown
}

/** The steps of a plan in JSON, those below it among them. */
const stepsOf = (plan: unknown): ReadonlyArray<Step> => {
  if (!Predicate.isRecord(plan)) return []
  const below = Array.isArray(plan.Plans) ? plan.Plans.flatMap(stepsOf) : []
  const { Filter: filter, "Index Cond": condition, "Index Name": index, "Node Type": kind, "Plan Rows": rows } = plan
  return [{ kind, table: plan["Relation Name"], index, rows, condition, filter }, ...below]
}

/** Tables that grow with the orders. */
const large = ["orders", "changes", "pruned"]
/** Far more than a statement is about, and far less than there is. */
const few = 5000

/** Whether it goes through a whole table, by itself or by the key, or sorts much of one. */
const isSlow = ({ condition, filter, index, kind, rows, table }: Step) =>
  (kind === "Seq Scan" && large.some((name) => name === table)) ||
  (/_pkey$/.test(String(index)) && condition === undefined && filter !== undefined) ||
  (/Sort|^Hash$/.test(String(kind)) && Number(rows) > few)

const openClient = (settings: Pg.ClientConfig) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Pg.Client(settings)
      await client.connect()
      // As the sessions of the repository.
      await client.query(byIndices)
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )

const explain = async (client: Pg.Client, text: string, { isPrepared, params }: Noted) => {
  const given = params.length === 0 ? "" : `(${params.map(literal).join(", ")})`
  await client.query(`PREPARE looked_at AS ${text}`)
  const steps: Array<Step> = []
  for (const mode of isPrepared ? ["force_custom_plan", "force_generic_plan"] : ["force_custom_plan"]) {
    await client.query(`SET plan_cache_mode = ${mode}`)
    const { rows } = await client.query({ text: `EXPLAIN (FORMAT JSON) EXECUTE looked_at${given}`, rowMode: "array" })
    const plan: unknown = rows[0]?.[0]?.[0]
    assert(Predicate.hasProperty(plan, "Plan"), text)
    steps.push(...stepsOf(plan.Plan))
  }
  await client.query("DEALLOCATE looked_at")
  return { text: text.replaceAll(/\s+/g, " ").trim(), steps }
}

describe.skipIf(!hasPostgres)(`The plans of PostgreSQL for many orders${unlessPostgres}`, () => {
  const schemas = postgresSchemas()

  it.scopedLive(
    "are by an index, and sort no more than a statement is about",
    () =>
      Effect.gen(function* () {
        const url = yield* schemas
        const server = yield* serverBy(url)
        const settings = clientConfig(server, "plans")
        const { noted, repo } = yield* noting(settings, server.shown)
        yield* Effect.promise(() =>
          queryPostgres(url, fill, fillChanges, fillTotals, fillFailures, fillPruned, "ANALYZE")
        )
        const client = yield* openClient(settings)
        const plans = (use: Use) =>
          Effect.gen(function* () {
            noted.clear()
            yield* use(repo)
            assert.isAbove(noted.size, 0)
            return yield* Effect.forEach(noted, ([text, noted]) => Effect.promise(() => explain(client, text, noted)))
          })

        const uses: Readonly<Record<string, Use>> = {
          insert: (repo) => repo.write([insert("new-1"), insert("new-2", { user_id: "often" })]),
          known: (repo) => repo.write([insert(1), insert("gone-1")]),
          find: (repo) => repo.find(OrderId.make("1")),
          findPruned: (repo) => repo.findPruned(OrderId.make("gone-1")),
          open: (repo) => repo.window("open", 100),
          suspect: (repo) => repo.window("suspect", 100),
          firstDueAt: (repo) => repo.firstDueAt,
          claim: (repo) => repo.write([claim(49_001), claim(49_002), claim(49_003)]),
          record: (repo) =>
            repo.write([record(49_001, 2, completed()), record(49_002, 2, failed()), record(49_003, 2, postponed(1))]),
          releaseOne: (repo) => repo.write([claim(49_004), releaseOne(49_004)]),
          cancel: (repo) => repo.write([cancel(49_005)]),
          reopen: (repo) => repo.write([reopen(49_005)]),
          reopenMany: (repo) => repo.write([reopenMany({ error_code: "code 3" }, [3, 23, 43])]),
          release: (repo) => repo.write([release]),
          recover: (repo) => repo.write([recover()]),
          prune: (repo) => repo.write([Command.Prune({ before: at(100), asOf: at(100), limit: 9 })]),
          forget: (repo) => repo.write([Command.Forget({ before: at(100), asOf: at(100), limit: 9 })]),
          rebase: (repo) => repo.write([rebase()]),
          probe: (repo) => repo.write([Command.Probe()]),
          totals: (repo) => repo.totals,
          retentionTime: (repo) => repo.retentionTime,
          failures: (repo) => repo.failures,
          history: (repo) => repo.changes({ order_id: OrderId.make("200") }, 0, 101),
          changes: (repo) => repo.changes({}, 149_000, 100),
          "changes of a user": (repo) => repo.changes({ user_id: "often" }, 1000, 100),
          "changes to a status": (repo) => repo.changes({ status: "Cancelled" }, 1000, 100),
          historyRange: (repo) => repo.historyRange
        }
        const slow: Array<string> = []
        const look = (name: string, use: Use, isByKey = true) =>
          Effect.map(plans(use), (all) => {
            for (const { steps, text } of all) {
              const isSearch = /^SELECT seq FROM/.test(text)
              const wrong = steps.filter(
                (step) => isSlow(step) || (isSearch && !isByKey && step.index === "orders_pkey")
              )
              slow.push(
                ...wrong.map(({ index, kind, rows, table }) => [name, kind, rows, table, index, text].join(" "))
              )
            }
          })
        for (const [name, use] of Object.entries(uses)) yield* look(name, use)

        const filters: ReadonlyArray<Filter> = [
          {},
          { status: "Failed" },
          { status: "Pending" },
          { user_id: "often" },
          { user_id: "7" },
          { user_id: "nobody" },
          { user_id: "often", status: "Completed" },
          { user_id: "often", status: "Cancelled" },
          { error_code: "code 3" },
          { error_code: "none" },
          { error_code: "code 3", user_id: "7" },
          { error_code: "code 3", user_id: "often" }
        ]
        const times = { accepted_after: at(20_000), accepted_before: at(20_100) }
        for (const filter of filters.flatMap((filter) => [filter, { ...filter, ...times }])) {
          const name = JSON.stringify(filter)
          const isByKey = filter.status === undefined && filter.user_id === undefined && filter.error_code === undefined
          yield* look(`list ${name}`, (repo) => repo.list(filter, Option.some(45_000), 50), isByKey)
          if (filter.status === "Pending" || filter.status === "Completed") continue
          yield* look(`retry ${name}`, (repo) => repo.reopenable(filter, 10, 45_000, 50), false)
        }
        assert.deepStrictEqual(slow, [])
      }).pipe(Effect.provide(config())),
    longTest
  )
})
