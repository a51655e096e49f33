import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { makeCompilerSqlite } from "@effect/sql/Statement"
import { assert, describe, it } from "@effect/vitest"
import {
  Array as Arr,
  Cause,
  Context,
  DateTime,
  Effect,
  Exit,
  FastCheck as fc,
  Layer,
  Option,
  Order as Ordering,
  type Scope,
  TestClock
} from "effect"
import type { AppConfig } from "../src/AppConfig.ts"
import { addTo, Command, type Commit, noTotals, Outcome, Result, type RowKey } from "../src/Command.ts"
import { OrderId, type Status, transitions } from "../src/Order.ts"
import { OrdersRepo } from "../src/OrdersRepo.ts"
import { config, memoryRepo, newOrder, type Settings, sqlRepo } from "./TestLayers.ts"

/** Compared as JSON: dates keep caches inside, which must not count. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
const same = (actual: unknown, expected: unknown, message?: string) =>
  assert.deepStrictEqual(plain(actual), plain(expected), message)

const write = (...commands: Arr.NonEmptyReadonlyArray<Command>) =>
  Effect.flatMap(OrdersRepo, (repo) => repo.write(commands))
const results = (...commands: Arr.NonEmptyReadonlyArray<Command>) =>
  Effect.map(write(...commands), ({ results }) => results)
const tags = (...commands: Arr.NonEmptyReadonlyArray<Command>) =>
  Effect.map(results(...commands), (results) => results.map(({ _tag }) => _tag))
const changes = (...commands: Arr.NonEmptyReadonlyArray<Command>) =>
  Effect.map(write(...commands), ({ commit }) =>
    commit.pipe(
      Option.map(({ changes }) => changes),
      Option.getOrThrow
    )
  )

const find = (id: number | string) =>
  Effect.flatMap(OrdersRepo, (repo) => Effect.flatten(repo.find(OrderId.make(String(id)))))
const window = (limit: number) => Effect.flatMap(OrdersRepo, (repo) => repo.window(limit))
const totals = Effect.flatMap(OrdersRepo, (repo) => repo.totals)

const insert = (id: number | string, rest: object = {}) => Command.Insert({ order: newOrder(id, rest) })
const claim = (key: RowKey) => Command.Claim({ key })
const at = (millis: number) => DateTime.unsafeMake(millis)
const completed = (result: Option.Option<unknown> = Option.none()) => Outcome.Completed({ result })
const failed = (message = "no stock") =>
  Outcome.Failed({ error: { code: "out_of_stock", message, attempt: 1, at: at(7000) } })
const record = (key: RowKey, run: number, outcome: Outcome = completed(), millis = 0) =>
  Command.Record({ key, run, outcome, at: at(millis) })
const counted = Command.Release({ key: Option.none(), counted: true })
const uncounted = Command.Release({ key: Option.none(), counted: false })
const releaseOne = (key: RowKey) => Command.Release({ key: Option.some(key), counted: false })

const conformance = (name: string, layer: Layer.Layer<OrdersRepo, unknown, AppConfig>) => {
  const test = <E>(title: string, body: Effect.Effect<void, E, OrdersRepo>, settings: Settings = {}) =>
    it.effect(title, () => body.pipe(Effect.provide(Layer.provideMerge(layer, config(settings)))))

  describe(name, () => {
    test(
      "finds each order as it was submitted",
      Effect.gen(function* () {
        const metadata = {
          "": null,
          "ключ 🛒": ["é", "\u0000", "\ud800", "\udfff tail"],
          deep: { __proto_: [1.5, true] }
        }
        const orders = [
          newOrder(1),
          newOrder("a.b_c:d-e", { user_id: "007", item_ids: ["x", 1, "x"], currency: "EUR", metadata }),
          newOrder(2, { metadata: {}, total_amount: 0 }),
          newOrder(3, { metadata: JSON.parse('{"__proto__":{"a":1},"constructor":2}') }),
          newOrder(4, { item_ids: Arr.range(1, 1000), total_amount: "99999999999.9999" }),
          newOrder(5, { total_amount: 0.0001 })
        ] as const
        yield* TestClock.setTime(5000)
        const [first, ...rest] = Arr.map(orders, (order) => Command.Insert({ order }))
        yield* write(first, ...rest)
        for (const order of orders) {
          const found = yield* find(order.order_id)
          same(found, {
            ...order,
            status: "Pending",
            attempts: 0,
            accepted_at: at(5000),
            started_at: Option.none(),
            finished_at: Option.none(),
            next_attempt_at: Option.none(),
            last_error: Option.none(),
            result: Option.none()
          })
          assert.deepStrictEqual(Option.getOrUndefined(found.metadata), Option.getOrUndefined(order.metadata))
        }
      })
    )

    test(
      "finds no order that was not submitted",
      Effect.gen(function* () {
        yield* write(insert(1))
        assert.isTrue(Exit.isFailure(yield* Effect.exit(find(2))))
        assert.isTrue(Exit.isFailure(yield* Effect.exit(find("01"))))
      })
    )

    test(
      "tells of each new order what happened to it",
      Effect.gen(function* () {
        yield* TestClock.setTime(5000)
        const { commit } = yield* write(insert(1), insert("b", { user_id: "u" }))
        const made = { from: Option.none(), status: "Pending", attempts: 0, at: at(5000), elapsedMillis: 0 }
        same(
          commit,
          Option.some({
            changes: [
              { key: 1, order_id: "1", user_id: "1", ...made },
              { key: 2, order_id: "b", user_id: "u", ...made }
            ],
            totals: { ...noTotals, Pending: 2 }
          })
        )
      })
    )

    // Twins and conflicts

    test(
      "stores the first of twins in one batch and knows the others",
      Effect.gen(function* () {
        const twice = insert(1)
        const { commit, results } = yield* write(twice, twice, insert(1, { user_id: 9 }), insert(2))
        const known = Result.Known({ order: yield* find(1) })
        same(results, [Result.Inserted(), known, known, Result.Inserted()])
        assert.strictEqual(known.order.user_id, "1")
        same(
          Option.map(commit, ({ changes }) => changes.map(({ order_id }) => order_id)),
          Option.some(["1", "2"])
        )
        same(yield* totals, { ...noTotals, Pending: 2 })
      })
    )

    test(
      "knows an order again, as it stands now, and stores nothing of it",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2))
        yield* write(claim(1))
        const again = yield* write(insert(2, { currency: "USD" }), insert(1))
        same(again.results, [Result.Known({ order: yield* find(2) }), Result.Known({ order: yield* find(1) })])
        same(again.commit, Option.none())
        assert.strictEqual((yield* find(1)).status, "Processing")
        same((yield* find(2)).currency, Option.none())
      })
    )

    // Admission

    test(
      "takes exactly MAX_PENDING in one batch, the first ones, and still knows the known",
      Effect.gen(function* () {
        const found = yield* tags(insert(1), insert(2), insert(1), insert(3), insert(4), insert(4), insert(3))
        assert.deepStrictEqual(found, ["Inserted", "Inserted", "Known", "Inserted", "Full", "Full", "Known"])
        assert.isTrue(Exit.isFailure(yield* Effect.exit(find(4))))
        same(yield* totals, { ...noTotals, Pending: 3 })
      }),
      { maxPending: 3 }
    )

    test(
      "takes exactly MAX_PENDING across batches",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2))
        assert.deepStrictEqual(yield* tags(insert(1), insert(3), insert(4)), ["Known", "Inserted", "Full"])
        assert.deepStrictEqual(yield* tags(insert(4), insert(2)), ["Full", "Known"])
        yield* write(claim(2))
        assert.deepStrictEqual(yield* tags(insert(4), insert(5)), ["Inserted", "Full"])
      }),
      { maxPending: 3 }
    )

    test(
      "has room as soon as an order was claimed, also in the same batch, and none for an order put back",
      Effect.gen(function* () {
        const found = yield* tags(insert(1), insert(2), claim(1), insert(2), insert(3), uncounted, insert(4), claim(1))
        assert.deepStrictEqual(found, [
          "Inserted",
          "Full",
          "Claimed",
          "Inserted",
          "Full",
          "Released",
          "Full",
          "Claimed"
        ])
        assert.deepStrictEqual(yield* tags(insert(4)), ["Full"])
      }),
      { maxPending: 1 }
    )

    // Claims

    test(
      "runs the commands in the order they came",
      Effect.gen(function* () {
        const found = yield* tags(claim(1), record(1, 1), insert(1), record(1, 1), claim(1), record(1, 1), claim(1))
        assert.deepStrictEqual(found, [
          "Unchanged",
          "Unchanged",
          "Inserted",
          "Unchanged",
          "Claimed",
          "Recorded",
          "Unchanged"
        ])
        assert.strictEqual((yield* find(1)).status, "Completed")
      })
    )

    test(
      "claims several at once, and tells how long they waited",
      Effect.gen(function* () {
        yield* write(insert("a"), insert("b"), insert("c"))
        yield* TestClock.setTime(3000)
        const { commit, results } = yield* write(claim(2), claim(9), claim(1))
        const b = yield* find("b")
        same(b.started_at, Option.some(at(3000)))
        same(results, [
          Result.Claimed({ claim: { key: 2, order: b, run: 1, attempt: 1 } }),
          Result.Unchanged(),
          Result.Claimed({ claim: { key: 1, order: yield* find("a"), run: 1, attempt: 1 } })
        ])
        const made = { from: Option.some("Pending"), status: "Processing", attempts: 1, at: at(3000) }
        same(sorted(commit).changes, [
          { key: 1, order_id: "a", user_id: "1", ...made, elapsedMillis: 3000 },
          { key: 2, order_id: "b", user_id: "1", ...made, elapsedMillis: 3000 }
        ])
        assert.strictEqual((yield* find("c")).status, "Pending")
      })
    )

    test(
      "gives an order to one claim only",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2))
        assert.deepStrictEqual(yield* tags(claim(1), claim(1), claim(2)), ["Claimed", "Unchanged", "Claimed"])
        assert.deepStrictEqual(yield* tags(claim(1)), ["Unchanged"])
      })
    )

    test(
      "never uses a run number again, and counts the attempts that count",
      Effect.gen(function* () {
        yield* write(insert(1))
        const next = Effect.map(results(claim(1)), ([result]) =>
          result?._tag === "Claimed" ? [result.claim.run, result.claim.attempt, result.claim.order.attempts] : result
        )
        assert.deepStrictEqual(yield* next, [1, 1, 1])
        yield* write(counted)
        assert.strictEqual((yield* find(1)).attempts, 1)
        assert.deepStrictEqual(yield* next, [2, 2, 2])
        yield* write(uncounted)
        assert.strictEqual((yield* find(1)).attempts, 1)
        assert.deepStrictEqual(yield* next, [3, 2, 2])
      })
    )

    // Outcomes

    test(
      "records what a run came to",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), insert(3), claim(1), claim(2), claim(3))
        const found = yield* changes(
          record(2, 1, failed("out of \u0000 \ud800 é"), 4000),
          record(1, 1, completed(Option.some({ receipt: ["\u0000", "\udfff"] })), 2500),
          record(3, 1, completed(), 1000)
        )
        const [one, two, three] = yield* Effect.all([find(1), find(2), find(3)])
        same(
          [one.status, one.finished_at, one.result, one.last_error],
          ["Completed", Option.some(at(2500)), Option.some({ receipt: ["\u0000", "\udfff"] }), Option.none()]
        )
        same(
          [two.status, two.finished_at, two.result, two.last_error],
          ["Failed", Option.some(at(4000)), Option.none(), Option.some(failed("out of \u0000 \ud800 é").error)]
        )
        same(
          [three.status, three.finished_at, three.result, three.last_error],
          ["Completed", Option.some(at(1000)), Option.none(), Option.none()]
        )
        const made = { user_id: "1", from: Option.some("Processing"), attempts: 1 }
        same(
          Arr.sortWith(found, ({ key }) => key, Ordering.number),
          [
            { key: 1, order_id: "1", ...made, status: "Completed", at: at(2500), elapsedMillis: 2500 },
            { key: 2, order_id: "2", ...made, status: "Failed", at: at(4000), elapsedMillis: 4000 },
            { key: 3, order_id: "3", ...made, status: "Completed", at: at(1000), elapsedMillis: 1000 }
          ]
        )
        same(yield* totals, { ...noTotals, Completed: 2, Failed: 1, processingMillis: 3500 })
      })
    )

    test(
      "keeps results of every kind of JSON",
      Effect.gen(function* () {
        for (const [index, result] of [{ a: [1] }, "text", "", 0, false, null, [], 1.5, "3"].entries()) {
          const key = index + 1
          yield* write(insert(key), claim(key), record(key, 1, completed(Option.some(result))))
          assert.deepStrictEqual((yield* find(key)).result, Option.some(result))
        }
      })
    )

    test(
      "records nothing for another run, another state or no order",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), claim(1))
        const before = [yield* find(1), yield* find(2), yield* totals]
        const { commit, results } = yield* write(record(1, 2), record(1, 0, failed()), record(2, 0), record(9, 1))
        same(
          results,
          Arr.makeBy(4, () => Result.Unchanged())
        )
        same(commit, Option.none())
        same([yield* find(1), yield* find(2), yield* totals], before)
      })
    )

    test(
      "records an outcome once",
      Effect.gen(function* () {
        yield* write(insert(1), claim(1))
        assert.deepStrictEqual(yield* tags(record(1, 1, failed("first"))), ["Recorded"])
        const before = yield* find(1)
        assert.deepStrictEqual(yield* tags(record(1, 1, completed(), 9000)), ["Unchanged"])
        same(yield* find(1), before)
      })
    )

    test(
      "records the first of several outcomes in one batch",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), claim(1), claim(2))
        assert.deepStrictEqual(
          yield* tags(record(1, 1, failed("first"), 1000), record(2, 1), record(1, 1, completed(), 2000)),
          ["Recorded", "Recorded", "Unchanged"]
        )
        same((yield* find(1)).last_error, Option.some(failed("first").error))
        same(yield* totals, { ...noTotals, Completed: 1, Failed: 1 })
      })
    )

    test(
      "changes nothing by a late outcome of an earlier run",
      Effect.gen(function* () {
        yield* write(insert(1), claim(1), counted)
        assert.deepStrictEqual(yield* tags(record(1, 1)), ["Unchanged"])
        yield* write(claim(1))
        assert.deepStrictEqual(yield* tags(record(1, 1, failed())), ["Unchanged"])
        assert.deepStrictEqual(yield* tags(record(1, 1, failed()), record(1, 2)), ["Unchanged", "Recorded"])
        const order = yield* find(1)
        same([order.status, order.last_error], ["Completed", Option.none()])
      })
    )

    // Clocks that are set back

    test(
      "lets no time go back when the clock does",
      Effect.gen(function* () {
        yield* TestClock.setTime(10_000)
        yield* write(insert(1))
        yield* TestClock.setTime(4000)
        yield* write(insert(2))
        yield* write(claim(1))
        yield* TestClock.setTime(3000)
        yield* write(record(1, 1, completed(), 3000))
        const [one, two] = yield* Effect.all([find(1), find(2)])
        same(two.accepted_at, at(10_000))
        same([one.started_at, one.finished_at], [Option.some(at(10_000)), Option.some(at(10_000))])
        assert.strictEqual((yield* totals).processingMillis, 0)
      })
    )

    test(
      "makes no new order wait when the clock was set back",
      Effect.gen(function* () {
        yield* TestClock.setTime(10_000)
        yield* write(insert(1))
        yield* TestClock.setTime(4000)
        yield* write(insert(2))
        same(yield* window(5), { ready: [1, 2], nextDueAt: Option.none(), more: false })
        same((yield* find(2)).next_attempt_at, Option.none())
      })
    )

    // The window

    test(
      "shows the front of the line, in the order of arrival",
      Effect.gen(function* () {
        same(yield* window(3), { ready: [], nextDueAt: Option.none(), more: false })
        yield* write(insert(3), insert(1))
        yield* TestClock.setTime(50)
        yield* write(insert(2), insert(4))
        same(yield* window(3), { ready: [1, 2, 3], nextDueAt: Option.none(), more: true })
        same(yield* window(5), { ready: [1, 2, 3, 4], nextDueAt: Option.none(), more: false })
        yield* write(claim(1), claim(3), record(3, 1))
        same(yield* window(3), { ready: [2, 4], nextDueAt: Option.none(), more: false })
        yield* write(uncounted)
        same(yield* window(3), { ready: [1, 2, 4], nextDueAt: Option.none(), more: true })
      })
    )

    // Releases and probes

    test(
      "puts back all that is processing",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), insert(3), claim(1), claim(2), claim(3), record(2, 1))
        yield* TestClock.setTime(8000)
        const { commit, results } = yield* write(counted)
        same(results, [Result.Released({ count: 2 })])
        const made = { user_id: "1", from: Option.some("Processing"), status: "Pending", attempts: 1 }
        same(sorted(commit), {
          changes: [
            { key: 1, order_id: "1", ...made, at: at(8000), elapsedMillis: 0 },
            { key: 3, order_id: "3", ...made, at: at(8000), elapsedMillis: 0 }
          ],
          totals: { ...noTotals, Pending: 2, Completed: 1 }
        })
        const order = yield* find(1)
        same(
          [order.status, order.attempts, order.started_at, order.next_attempt_at],
          ["Pending", 1, Option.none(), Option.none()]
        )
        const again = yield* write(uncounted, counted)
        same(again, { results: [Result.Released({ count: 0 }), Result.Released({ count: 0 })], commit: Option.none() })
      })
    )

    test(
      "puts back one order, if it is processing",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), insert(3), claim(1), claim(2), claim(3), record(3, 1))
        const { commit, results } = yield* write(releaseOne(2), releaseOne(2), releaseOne(3), releaseOne(9))
        same(
          results,
          [1, 0, 0, 0].map((count) => Result.Released({ count }))
        )
        same(
          sorted(commit).changes.map(({ attempts, key, status }) => [key, status, attempts]),
          [[2, "Pending", 0]]
        )
        const [one, two, three] = yield* Effect.all([find(1), find(2), find(3)])
        assert.deepStrictEqual([one.status, two.status, three.status], ["Processing", "Pending", "Completed"])
        assert.deepStrictEqual(yield* tags(claim(2), record(2, 1), record(2, 2)), ["Claimed", "Unchanged", "Recorded"])
      })
    )

    test(
      "probes without changing anything",
      Effect.gen(function* () {
        yield* write(insert(1))
        const before = [yield* find(1), yield* totals]
        same(yield* write(Command.Probe(), Command.Probe()), {
          results: [Result.Probed(), Result.Probed()],
          commit: Option.none()
        })
        same([yield* find(1), yield* totals], before)
        const { commit } = yield* write(insert(2), Command.Probe())
        same(
          Option.map(commit, (commit) => commit.totals),
          Option.some(yield* totals)
        )
      })
    )
  })
}

/** A commit with its changes by key: among neighbours of one kind, the order of the changes is not promised. */
const sorted = (commit: Option.Option<Commit>) => {
  const { changes, totals } = Option.getOrElse(commit, () => ({ changes: [], totals: noTotals }))
  return { changes: Arr.sortWith(changes, ({ key }) => key, Ordering.number), totals }
}

conformance("OrdersRepo.layer", sqlRepo)
conformance("OrdersRepo.layerMemory", memoryRepo)

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
  const repo = yield* Layer.build(OrdersRepo.layer).pipe(
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

describe("OrdersRepo.layer alone", () => {
  const test = <E>(
    title: string,
    body: Effect.Effect<void, E, OrdersRepo | SqlClient.SqlClient | AppConfig | Scope.Scope>
  ) => it.scoped(title, () => body.pipe(Effect.provide(Layer.provideMerge(sqlRepo, config()))))

  test(
    "reads the orders by an index, in every statement, and has no index for nothing",
    Effect.gen(function* () {
      const { connection, plan } = yield* explained
      const primary = "SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)"
      const byId = "SEARCH orders USING INDEX sqlite_autoindex_orders_1 (order_id=?)"
      /** `accepted_at` of the last row: the scan starts there, and ends there by its LIMIT. */
      const latest = "SCAN orders"
      const insertPlan = [
        latest,
        "SEARCH orders USING COVERING INDEX sqlite_autoindex_orders_1 (order_id=?)",
        "USE TEMP B-TREE FOR ORDER BY"
      ]
      const plans = {
        insert: yield* plan((repo) => repo.write([insert(1), insert(2)])),
        known: yield* plan((repo) => repo.write([insert(1), insert(2)])),
        find: yield* plan((repo) => repo.find(OrderId.make("1"))),
        window: yield* plan((repo) => repo.window(10)),
        claim: yield* plan((repo) => repo.write([claim(1), claim(2)])),
        record: yield* plan((repo) => repo.write([record(1, 1)])),
        releaseOne: yield* plan((repo) => repo.write([releaseOne(2)])),
        release: yield* plan((repo) => repo.write([uncounted])),
        probe: yield* plan((repo) => repo.write([Command.Probe()])),
        totals: yield* plan((repo) => repo.totals)
      }
      assert.deepStrictEqual(plans, {
        insert: insertPlan,
        known: [...insertPlan, byId],
        find: [byId],
        window: ["SCAN orders USING COVERING INDEX orders_pending", latest],
        claim: [primary],
        record: [primary],
        releaseOne: [primary],
        release: ["SCAN orders USING COVERING INDEX orders_processing"],
        probe: [],
        totals: []
      })
      const indexes = yield* connection.executeValues("SELECT name FROM pragma_index_list('orders') ORDER BY name", [])
      assert.deepStrictEqual(indexes.flat(), ["orders_pending", "orders_processing", "sqlite_autoindex_orders_1"])
    })
  )

  test(
    "shows the front of the line by due time, and when the next order becomes due",
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* write(insert(1), insert(2), insert(3), insert(4))
      yield* sql`UPDATE orders SET due_at = 2000 WHERE seq = 1`
      yield* sql`UPDATE orders SET due_at = 1000 WHERE seq = 3`
      same((yield* find(3)).next_attempt_at, Option.some(at(1000)))
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
      yield* write(uncounted)
      same((yield* find(3)).next_attempt_at, Option.some(at(1000)))
      same((yield* window(3)).ready, [2, 4, 3])
    })
  )

  test(
    "stores nothing of a batch with a command that breaks a constraint, which is a defect",
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* write(insert(1))
      yield* sql`UPDATE totals SET pending = 0`
      const exit = yield* Effect.exit(write(insert(2), claim(1), claim(2), insert(3)))
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
        yield* write(record(1, 1, completed(Option.some([1])), 6000), record(2, 1, failed(), 7000))
        return yield* all
      }).pipe(Effect.provide(sqlRepo))
      yield* Effect.gen(function* () {
        same(yield* all, before)
        yield* TestClock.setTime(100)
        assert.deepStrictEqual(yield* tags(insert(1), insert(5), counted), ["Known", "Inserted", "Released"])
        same((yield* find(5)).accepted_at, at(5000))
        const [result] = yield* results(claim(3))
        assert.deepStrictEqual(result?._tag === "Claimed" && [result.claim.run, result.claim.attempt], [2, 2])
        same(yield* totals, { ...noTotals, Pending: 2, Processing: 1, Completed: 1, Failed: 1, processingMillis: 1000 })
      }).pipe(Effect.provide(sqlRepo))
    }).pipe(Effect.provide(config()))
  )
})

const ids = Arr.range(1, 6)
const anyKey = fc.integer({ min: 1, max: 6 })
const anyOutcome = fc.oneof(
  fc.jsonValue().map((result) => completed(Option.fromNullable(result))),
  fc.string().map(failed)
)
const anyCommand = fc.oneof(
  fc
    .record({ id: fc.constantFrom(...ids), user: fc.integer({ min: 1, max: 2 }) })
    .map(({ id, user }) => insert(id, { user_id: user })),
  anyKey.map(claim),
  fc
    .tuple(anyKey, fc.integer({ min: 1, max: 3 }), anyOutcome, fc.integer({ min: 0, max: 400 }))
    .map((given) => record(...given)),
  fc
    .tuple(fc.option(fc.integer({ min: 1, max: 6 })), fc.boolean())
    .map(([key, counted]) => Command.Release({ key: Option.fromNullable(key), counted })),
  fc.constant(Command.Probe())
)
const anySteps = fc.array(
  fc.record({ now: fc.integer({ min: 0, max: 300 }), commands: fc.array(anyCommand, { minLength: 1, maxLength: 8 }) }),
  { minLength: 1, maxLength: 6 }
)

const isLegal = (from: Option.Option<Status>, to: Status) =>
  Object.values(transitions).some(
    (step: { readonly from: ReadonlyArray<Status>; readonly to: Status }) =>
      step.to === to &&
      Option.match(from, { onNone: () => step.from.length === 0, onSome: (_) => step.from.includes(_) })
  )

/** What can be seen of a repository. */
const seen = (repo: Context.Tag.Service<OrdersRepo>) =>
  Effect.all({
    orders: Effect.forEach(ids, (id) => repo.find(OrderId.make(String(id)))),
    totals: repo.totals,
    windows: Effect.forEach(Arr.range(0, 4), repo.window)
  })

it.effect.prop(
  "Both do the same, whatever they are told, and every change is a legal one",
  [anySteps],
  ([steps]) =>
    Effect.gen(function* () {
      const [sqlContext, memoryContext] = [yield* Layer.build(sqlRepo), yield* Layer.build(memoryRepo)]
      const sql = Context.get(sqlContext, SqlClient.SqlClient)
      const repo = Context.get(sqlContext, OrdersRepo)
      const memory = Context.get(memoryContext, OrdersRepo)
      const statuses = new Map<RowKey, Status>()
      const runs = new Map<RowKey, number>()
      let sum = noTotals

      for (const { commands, now } of steps) {
        if (!Arr.isNonEmptyReadonlyArray(commands)) continue
        yield* TestClock.setTime(now)
        const [one, other] = yield* Effect.all([repo.write(commands), memory.write(commands)])
        same(one.results, other.results)
        same(sorted(one.commit), sorted(other.commit))
        const [first, second] = yield* Effect.all([seen(repo), seen(memory)])
        same(first, second)

        for (const change of sorted(one.commit).changes) {
          assert.isTrue(isLegal(change.from, change.status), `${change.from} -> ${change.status}`)
          assert.strictEqual(Option.getOrUndefined(change.from), statuses.get(change.key))
          statuses.set(change.key, change.status)
        }
        for (const result of one.results) {
          if (result._tag !== "Claimed") continue
          const { attempt, key, run } = result.claim
          assert.strictEqual(run, (runs.get(key) ?? 0) + 1)
          assert.isAtMost(attempt, run)
          runs.set(key, run)
        }
        sum = addTo(sum, sorted(one.commit).changes)
        assert.deepStrictEqual({ ...first.totals }, { ...sum })
        const counted = yield* sql<{ status: Status; count: number }>`
          SELECT status, count(*) AS count FROM orders GROUP BY status`
        const counts = Object.fromEntries(counted.map(({ count, status }) => [status, count]))
        assert.deepStrictEqual({ ...first.totals }, { ...sum, ...counts })
        assert.strictEqual(
          first.orders.filter(Option.isSome).length,
          counted.reduce((sum, { count }) => sum + count, 0)
        )
      }
    }).pipe(Effect.scoped, Effect.provide(config({ maxPending: 3 }))),
  { fastCheck: { numRuns: 50 } }
)
