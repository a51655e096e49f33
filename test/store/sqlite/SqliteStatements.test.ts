import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { makeCompilerSqlite } from "@effect/sql/Statement"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Cause, Context, Effect, Exit, Layer, Option, type Scope, TestClock } from "effect"
import type { AppConfig } from "../../../src/AppConfig.ts"
import { OrderId, type Status } from "../../../src/order/Order.ts"
import { RowKey } from "../../../src/order/OrderChange.ts"
import { Command, type Filter } from "../../../src/store/Command.ts"
import { noTotals } from "../../../src/store/CommandGroups.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import * as OrdersRepoSql from "../../../src/store/OrdersRepoSql.ts"
import { Statements } from "../../../src/store/Statements.ts"
import * as SqliteStatements from "../../../src/store/sqlite/SqliteStatements.ts"
import {
  at,
  cancel,
  claim,
  completed,
  failed,
  find,
  insert,
  listed,
  rebase,
  record,
  recover,
  release,
  releaseOne,
  reopen,
  reopenMany,
  results,
  same,
  sorted,
  tags,
  totals,
  window,
  write
} from "../../support/RepoKit.ts"
import { config, sqlRepo } from "../../support/TestLayers.ts"

/** The repository on a client that notes the statements it is given, and how SQLite would run them. */
const explained = Effect.gen(function* () {
  const { reserve } = yield* SqlClient.SqlClient
  const connection = yield* reserve
  const noted = new Map<string, ReadonlyArray<unknown>>()
  const noting = Effect.succeed<Connection>({
    ...connection,
    execute: (statement, params, transform) => {
      noted.set(statement, params)
      return connection.execute(statement, params, transform)
    }
  })
  const client = yield* SqlClient.make({
    acquirer: noting,
    transactionAcquirer: noting,
    compiler: makeCompilerSqlite(),
    spanAttributes: []
  }).pipe(Effect.provide(Reactivity.layer))
  const repo = yield* Layer.build(Layer.provide(OrdersRepoSql.layer, SqliteStatements.layer)).pipe(
    Effect.map(Context.get(OrdersRepo)),
    Effect.provideService(SqlClient.SqlClient, client)
  )

  /** The steps in which the plans read the table of orders, or sort. */
  const plan = <A, E>(use: (repo: Context.Tag.Service<OrdersRepo>) => Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      noted.clear()
      yield* use(repo)
      const steps = yield* Effect.forEach(noted, ([statement, params]) =>
        Effect.map(connection.executeValues(`EXPLAIN QUERY PLAN ${statement}`, params), (rows) =>
          rows.map((row) => String(row[3]))
        )
      )
      return steps.flat().filter((step) => /orders|B-TREE/.test(step))
    })
  return { connection, plan }
})

describe("OrdersRepoSql.layer alone", () => {
  const test = <E>(
    title: string,
    body: Effect.Effect<void, E, Layer.Layer.Success<typeof sqlRepo> | AppConfig | Scope.Scope>
  ) => it.scoped(title, () => body.pipe(Effect.provide(Layer.provideMerge(sqlRepo, config()))))

  test(
    "reads the orders by an index, in every statement, and has no index for nothing",
    Effect.gen(function* () {
      const { connection, plan } = yield* explained
      const primary = "SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)"
      const byId = "SEARCH orders USING INDEX sqlite_autoindex_orders_1 (order_id=?)"
      const isProcessing = "SEARCH orders USING COVERING INDEX orders_status (status=?)"
      /** `accepted_at` of the last row: the scan starts there, and ends there by its LIMIT. */
      const insertPlan = [
        "SEARCH orders USING COVERING INDEX sqlite_autoindex_orders_1 (order_id=?)",
        // The newcomers, to number them and in the end.
        "USE TEMP B-TREE FOR ORDER BY",
        "USE TEMP B-TREE FOR ORDER BY"
      ]
      const plans = {
        insert: yield* plan((repo) => repo.write([insert(1), insert(2)])),
        known: yield* plan((repo) => repo.write([insert(1), insert(2)])),
        find: yield* plan((repo) => repo.find(OrderId.make("1"))),
        open: yield* plan((repo) => repo.window("open", 10)),
        suspect: yield* plan((repo) => repo.window("suspect", 10)),
        claim: yield* plan((repo) => repo.write([claim(1), claim(2)])),
        record: yield* plan((repo) => repo.write([record(1, 1, failed())])),
        releaseOne: yield* plan((repo) => repo.write([releaseOne(2)])),
        release: yield* plan((repo) => repo.write([release])),
        recover: yield* plan((repo) => repo.write([recover()])),
        prune: yield* plan((repo) => repo.write([Command.Prune({ before: at(0), asOf: at(0), limit: 9 })])),
        rebase: yield* plan((repo) => repo.write([rebase()])),
        cancel: yield* plan((repo) => repo.write([cancel(2)])),
        reopen: yield* plan((repo) => repo.write([reopen(2)])),
        probe: yield* plan((repo) => repo.write([Command.Probe()])),
        totals: yield* plan((repo) => repo.totals)
      }
      assert.deepStrictEqual(plans, {
        insert: insertPlan,
        known: [...insertPlan, byId],
        find: [byId],
        open: ["SCAN orders USING COVERING INDEX orders_pending"],
        suspect: ["SCAN orders USING COVERING INDEX orders_suspect"],
        claim: [primary],
        record: [primary],
        releaseOne: [primary],
        release: [isProcessing],
        recover: [isProcessing],
        prune: ["SEARCH orders USING INDEX orders_prunable (finished_at<?)"],
        rebase: ["COVERING INDEX", "INDEX"].map(
          (index) => `SEARCH orders USING ${index} orders_status (status=? AND seq>? AND seq<?)`
        ),
        cancel: [byId, primary],
        reopen: [byId, primary],
        probe: [],
        totals: []
      })
      const indexes = yield* connection.executeValues("SELECT name FROM pragma_index_list('orders') ORDER BY name", [])
      assert.deepStrictEqual(indexes.flat(), [
        "orders_ended",
        "orders_failed",
        "orders_failed_at",
        "orders_pending",
        "orders_prunable",
        "orders_status",
        "orders_suspect",
        "orders_user",
        "sqlite_autoindex_orders_1"
      ])
    })
  )

  test(
    "lists, groups and retries by an index, whatever the filter, and sorts no orders",
    Effect.gen(function* () {
      const { plan } = yield* explained
      yield* plan((repo) => repo.write(Arr.makeBy(20, (index) => insert(index + 1))))
      const times = { accepted_after: at(0), accepted_before: at(1) }
      const by = (index: string, given: string) =>
        `SEARCH orders USING COVERING INDEX ${index} (${given} AND seq>? AND seq<?)`
      const byKey = "SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)"
      const byKeys = "SEARCH orders USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
      const byStatus = by("orders_status", "status=?")
      const byCode = by("orders_failed", "error_code=?").replace("COVERING ", "")
      /** Each filter, the way by which its keys are found, and that by which those of the Failed are. */
      const ways: ReadonlyArray<readonly [Filter, list: ReadonlyArray<string>, retry: ReadonlyArray<string>]> = [
        [{}, [byKeys], [byStatus]],
        [{ status: "Failed" }, [byStatus], [byStatus]],
        [{ user_id: "1" }, [by("orders_user", "user_id=?")], [by("orders_ended", "user_id=? AND status=?")]],
        [
          { status: "Failed", user_id: "1" },
          [by("orders_ended", "user_id=? AND status=?")],
          [by("orders_ended", "user_id=? AND status=?")]
        ],
        // The index has the code, though SQLite calls none covering that has a generated column.
        [{ error_code: "busy" }, [byCode], [byCode]],
        [
          { status: "Failed", error_code: "busy", user_id: "1" },
          [by("orders_ended", "user_id=? AND status=?").replace("COVERING ", "")],
          [by("orders_ended", "user_id=? AND status=?").replace("COVERING ", "")]
        ]
      ]
      /** What is looked at first is the index alone, then each order's time. */
      const inTime = (steps: ReadonlyArray<string>) => steps.map((step) => step.replace("COVERING ", ""))
      for (const [filter, list, retry] of ways) {
        const listing = (filter: Filter) => plan((repo) => repo.list(filter, Option.some(9), 5))
        const retrying = (filter: Filter) => plan((repo) => repo.reopenable(filter, 2, 9, 5))
        const name = JSON.stringify(filter)
        assert.deepStrictEqual(yield* listing(filter), [...list, byKey], name)
        assert.deepStrictEqual(yield* retrying(filter), retry, name)
        assert.deepStrictEqual(yield* listing({ ...filter, ...times }), [...inTime(list), byKey], name)
        assert.deepStrictEqual(yield* retrying({ ...filter, ...times }), inTime(retry), name)
      }
      const ofUser = yield* plan((repo) => repo.list({ user_id: "1", status: "Pending" }, Option.none(), 5, 2))
      assert.sameMembers(Arr.dedupe(ofUser.map((step) => step.replace(/^SEARCH same .*(orders_status).*/, "$1"))), [
        by("orders_user", "user_id=?"),
        "orders_status",
        byKey
      ])
      assert.deepStrictEqual(yield* plan((repo) => repo.write([reopenMany({}, [1, 2])])), [byKey])
      yield* plan((repo) => repo.write([claim(1), record(1, 1, failed())]))
      assert.deepStrictEqual(yield* plan((repo) => repo.failures), [
        "SEARCH orders USING INDEX orders_failed_at (error_code=?)",
        "SEARCH orders USING INDEX orders_failed_at (error_code=?)",
        "SEARCH orders USING INDEX orders_failed (error_code=? AND seq>? AND seq<?)",
        // Of the twenty codes that one statement is given.
        "USE TEMP B-TREE FOR ORDER BY"
      ])
    })
  )

  test(
    "finds orders by their time of acceptance wherever a clock that was set put them",
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      // Five thousand orders, the clock ahead for those of the second thousand, and behind for one of the fourth.
      const timeOf = (seq: number) => (seq > 1000 && seq <= 2000 ? 900_000 + seq : seq === 3500 ? 1 : seq * 10)
      const rows = Arr.map(Arr.range(1, 5000), (seq) => [seq, timeOf(seq)] as const)
      yield* sql`
        INSERT INTO orders (order_id, status, user_id, item_ids, total_amount, accepted_at, due_at)
        SELECT value ->> 0, 'Pending', value ->> 0 % 3, '["1"]', 1, value ->> 1, value ->> 1
        FROM json_each(${JSON.stringify(rows)}) ORDER BY key`
      for (const [after, before] of [
        [0, 100],
        [undefined, 5],
        [900_000, undefined],
        [901_500, 901_502],
        [60_000, 900_000],
        [10_000, 30_000],
        [49_990, 901_001]
      ]) {
        const filter = {
          accepted_after: after === undefined ? undefined : at(after),
          accepted_before: before === undefined ? undefined : at(before)
        }
        const fitting = rows.filter(([, time]) => time >= (after ?? 0) && time < (before ?? Infinity))
        const ids = fitting.map(([seq]) => String(seq)).reverse()
        assert.deepStrictEqual(yield* listed(filter, 5000, 5000), ids)
        assert.deepStrictEqual(yield* listed(filter, 50, 700), ids)
        assert.deepStrictEqual(yield* listed({ ...filter, status: "Pending" }, 300, 64), ids)
      }
    })
  )

  test(
    "cancels and reopens an order only from the status that was read",
    Effect.gen(function* () {
      const database = Context.get(yield* Layer.build(SqliteStatements.layer), Statements)
      const attempt = (statement: "cancel" | "reopen", from: Status) =>
        Effect.map(database.transaction(database[statement](RowKey(1), from, 5)), Arr.length)
      yield* write(insert(1))
      const pending = yield* find(1)
      assert.strictEqual(yield* attempt("cancel", "Processing"), 0)
      assert.strictEqual(yield* attempt("reopen", "Failed"), 0)
      same(yield* find(1), pending)
      assert.strictEqual(yield* attempt("cancel", "Pending"), 1)
      assert.strictEqual((yield* find(1)).status, "Cancelled")
      assert.strictEqual(yield* attempt("cancel", "Pending"), 0)
      assert.strictEqual(yield* attempt("reopen", "Cancelled"), 1)
      assert.strictEqual((yield* find(1)).status, "Pending")
    })
  )

  test(
    "shows the front of the line by due time, and when the next order becomes due",
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* write(insert(1), insert(2), insert(3), insert(4))
      yield* sql`UPDATE orders SET due_at = 2000 WHERE seq = 1`
      yield* sql`UPDATE orders SET due_at = 1000 WHERE seq = 3`
      same(yield* window(2), { ready: [2, 4], nextDueAt: Option.none(), more: true })
      same(yield* window(3), { ready: [2, 4], nextDueAt: Option.some(1000), more: false })
      yield* TestClock.setTime(999)
      same(yield* window(9), { ready: [2, 4], nextDueAt: Option.some(1000), more: false })
      yield* TestClock.setTime(1000)
      same(yield* window(9), { ready: [2, 4, 3], nextDueAt: Option.some(2000), more: false })
      yield* TestClock.setTime(2000)
      same(yield* window(9), { ready: [2, 4, 3, 1], nextDueAt: Option.none(), more: false })
      const { commit } = yield* write(claim(3))
      same(
        sorted(commit).changes.map(({ elapsedMillis }) => elapsedMillis),
        [1000]
      )
      same((yield* find(3)).next_attempt_at, Option.none())
      yield* write(release)
      same((yield* window(3)).ready, [2, 4, 3])
    })
  )

  test(
    "stores nothing of a batch that breaks a constraint, which is a defect",
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* write(insert(1))
      yield* sql`UPDATE totals SET pending = 0`
      const exit = yield* Effect.exit(write(insert(2), claim(1), claim(2)))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.deepStrictEqual(yield* sql`SELECT order_id, status, run FROM orders`, [
        { order_id: "1", status: "Pending", run: 0 }
      ])
      same(yield* totals, noTotals)
      assert.deepStrictEqual(yield* tags(insert(2)), ["Inserted"])
    })
  )

  it.effect("finds all as it was when the file is opened again", () =>
    Effect.gen(function* () {
      const all = Effect.all([find(1), find(2), find(3), find(4), totals, window(9)])
      const before = yield* Effect.gen(function* () {
        yield* TestClock.setTime(5000)
        yield* write(insert(1, { metadata: { a: "é" } }), insert(2), insert(3), insert(4), claim(1), claim(2), claim(3))
        yield* write(record(1, 1, completed(Option.some([1])), 6000, 1000), record(2, 1, failed(), 7000))
        return yield* all
      }).pipe(Effect.provide(sqlRepo))
      yield* Effect.gen(function* () {
        same(yield* all, before)
        yield* TestClock.setTime(100)
        assert.deepStrictEqual(yield* tags(insert(1), insert(5), release), ["Known", "Inserted", "Released"])
        same((yield* find(5)).accepted_at, at(100))
        const [result] = yield* results(claim(3))
        assert.deepStrictEqual(result?._tag === "Claimed" && [result.claim.run, result.claim.attempt], [2, 1])
        same(yield* totals, { ...noTotals, Pending: 2, Processing: 1, Completed: 1, Failed: 1, processingMillis: 1000 })
      }).pipe(Effect.provide(sqlRepo))
    }).pipe(Effect.provide(config()))
  )
})
