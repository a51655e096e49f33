import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Exit, Layer, Option, Order as Ordering, TestClock } from "effect"
import type { AppConfig } from "../../src/AppConfig.ts"
import type { Status } from "../../src/order/Order.ts"
import { RowKey } from "../../src/order/OrderChange.ts"
import { Command, type Filter, Result } from "../../src/store/Command.ts"
import { noTotals } from "../../src/store/CommandGroups.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import {
  at,
  cancel,
  changes,
  claim,
  completed,
  failed,
  failures,
  find,
  insert,
  keyRange,
  listed,
  page,
  postponed,
  rebase,
  rebased,
  record,
  recover,
  release,
  released,
  releaseOne,
  reopen,
  reopenable,
  reopenMany,
  results,
  same,
  sorted,
  tags,
  totals,
  window,
  write
} from "../support/RepoKit.ts"
import { config, memoryRepo, newOrder, type Settings, sqlRepo } from "../support/TestLayers.ts"

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
        const [first, ...rest] = Arr.map(orders, (order) => Command.Insert({ order, traceparent: Option.none() }))
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
        const found = yield* tags(insert(1), insert(2), claim(1), insert(2), insert(3), release, insert(4), claim(1))
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
        const claimed = { run: 1, attempt: 1, round: 1, traceparent: Option.none(), begunAt: 3000 }
        same(b.started_at, Option.some(at(3000)))
        same(results, [
          Result.Claimed({ claim: { key: RowKey(2), order: b, ...claimed } }),
          Result.Unchanged(),
          Result.Claimed({ claim: { key: RowKey(1), order: yield* find("a"), ...claimed } })
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
        yield* write(record(1, 1, postponed(0)))
        assert.strictEqual((yield* find(1)).attempts, 1)
        assert.deepStrictEqual(yield* next, [2, 2, 2])
        yield* write(release)
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
        yield* write(insert(1), claim(1), release)
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
      "takes each time from the clock as it is then, but no run ends before it started or is longer than it took",
      Effect.gen(function* () {
        yield* TestClock.setTime(10_000)
        yield* write(insert(1), insert(2))
        yield* TestClock.setTime(4000)
        yield* write(insert(3))
        yield* write(claim(1), claim(2))
        yield* TestClock.setTime(3000)
        yield* write(record(1, 1, completed(), 3000, 20))
        const [one, three] = yield* Effect.all([find(1), find(3)])
        same([one.accepted_at, three.accepted_at], [at(10_000), at(4000)])
        same([one.started_at, one.finished_at], [Option.some(at(3000)), Option.some(at(3000))])
        assert.strictEqual((yield* totals).processingMillis, 20)
        yield* TestClock.setTime(36_000)
        const [change] = yield* changes(record(2, 1, completed(), 36_000, 30))
        assert.strictEqual(change?.elapsedMillis, 30)
        assert.strictEqual((yield* totals).processingMillis, 50)
      })
    )

    test(
      "lets nothing wait for a time that the clock shows no more, and a retry only as long as it was to wait",
      Effect.gen(function* () {
        yield* TestClock.setTime(100_000)
        yield* write(insert(1), insert(2), insert(3), insert(4), claim(2), claim(3), claim(4))
        yield* write(record(2, 1, postponed(20_000)), record(3, 1, released(500)), recover(), claim(4), recover())
        yield* TestClock.setTime(1000)
        same((yield* window(9)).ready, [])
        yield* write(insert(5), insert(6), claim(6), record(6, 1, postponed(2000)))
        same(yield* results(rebase()), [rebased(4)])
        same(yield* window(9), { ready: [1, 5], nextDueAt: Option.some(1500), more: false })
        same((yield* window(9, "suspect")).ready, [4])
        same((yield* find(1)).next_attempt_at, Option.none())
        same((yield* find(2)).next_attempt_at, Option.some(at(21_000)))
        same((yield* find(6)).next_attempt_at, Option.some(at(3000)))
        same(yield* results(rebase()), [rebased(0)])
        yield* TestClock.setTime(21_000)
        same((yield* window(9)).ready, [1, 5, 3, 6, 2])
      })
    )

    test(
      "puts what was claimed under a clock that was ahead back to where it stood in line: it is due",
      Effect.gen(function* () {
        yield* TestClock.setTime(100_000)
        yield* write(insert(1), insert(2), insert(3), insert(4), claim(1), claim(2), claim(3))
        yield* TestClock.setTime(1000)
        yield* write(record(1, 1, released()), releaseOne(2), recover())
        same(yield* window(9), { ready: [1, 2, 3], nextDueAt: Option.some(100_000), more: false })
        const [change] = yield* changes(claim(2))
        assert.strictEqual(change?.elapsedMillis, 0)
      })
    )

    for (const [which, by] of [
      ["back", -36_000],
      ["ahead", 36_000]
    ] as const) {
      test(
        `moves the line with a clock that is set ${which}`,
        Effect.gen(function* () {
          const then = 100_000
          const now = then + by
          yield* TestClock.setTime(then - 5000)
          yield* write(insert(1), insert(2), insert(3), claim(2), record(2, 1, postponed(20_000)))
          yield* write(claim(3), release, claim(3), recover(), claim(3), recover())
          yield* TestClock.setTime(now)
          // One that came after the clock was set, before the line was moved.
          yield* write(insert(4), claim(4), record(4, 1, postponed(9000)))
          const { commit, results } = yield* write(rebase(by))
          same([results, commit], [[rebased(by < 0 ? 3 : 4)], Option.none()])
          same(yield* window(9), { ready: [1], nextDueAt: Option.some(now + 9000), more: false })
          same((yield* window(9, "suspect")).ready, [3])
          same((yield* find(2)).next_attempt_at, Option.some(at(now + 15_000)))
          const [claimed] = yield* changes(claim(1))
          assert.strictEqual(claimed?.elapsedMillis, by < 0 ? 0 : 5000)
        })
      )
    }

    test(
      "moves a part of the line, in the order of arrival, and says behind which order to go on",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), insert(3), insert(4), insert(5), insert(6), insert(7), claim(2))
        yield* TestClock.setTime(9000)
        const due = Effect.gen(function* () {
          const claimed = yield* changes(...Arr.map(Arr.make(1, 3, 4, 5, 6, 7), claim))
          yield* write(release)
          return claimed.map(({ elapsedMillis }) => elapsedMillis)
        })
        same(yield* results(rebase(5000, 1, 6, 2)), [rebased(2, 4)])
        same(yield* due, [9000, 4000, 4000, 9000, 9000, 9000])
        same(yield* results(rebase(5000, 4, 6, 2)), [rebased(2)])
        same(yield* due, [9000, 4000, 4000, 4000, 4000, 9000])
        same(yield* results(rebase(5000, 6, 6, 2), rebase(5000, 7, 9, 2)), [rebased(0), rebased(0)])
        same(yield* results(rebase(-1, 0, 9, 3), rebase(-1, 3, 9, 3), rebase(-1, 6, 9, 3)), [
          rebased(0, 3),
          rebased(0, 6),
          rebased(0)
        ])
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
        yield* write(release)
        same(yield* window(3), { ready: [1, 2, 4], nextDueAt: Option.none(), more: true })
      })
    )

    // Retries

    test(
      "postpones an order to its next attempt",
      Effect.gen(function* () {
        yield* write(insert(1), claim(1))
        yield* TestClock.setTime(2500)
        const { commit, results } = yield* write(record(1, 1, postponed(6500), 2400))
        same(results, [Result.Recorded()])
        const change = { key: 1, order_id: "1", user_id: "1", from: Option.some("Processing"), status: "Pending" }
        same(
          commit,
          Option.some({
            changes: [{ ...change, attempts: 1, at: at(2500), elapsedMillis: 0 }],
            totals: { ...noTotals, Pending: 1 }
          })
        )
        const order = yield* find(1)
        same(
          { ...order },
          {
            ...order,
            status: "Pending",
            attempts: 1,
            started_at: Option.none(),
            finished_at: Option.none(),
            next_attempt_at: Option.some(at(9000)),
            last_error: Option.some(postponed(0).error),
            result: Option.none()
          }
        )
        same(yield* window(5), { ready: [], nextDueAt: Option.some(9000), more: false })
        assert.deepStrictEqual(yield* tags(record(1, 1), record(1, 1, failed())), ["Unchanged", "Unchanged"])

        yield* TestClock.setTime(9250)
        const [again] = yield* changes(claim(1))
        same([again?.elapsedMillis, again?.attempts], [250, 2])
        const processing = yield* find(1)
        same(
          [processing.next_attempt_at, processing.last_error, processing.started_at],
          [Option.none(), Option.some(postponed(0).error), Option.some(at(9250))]
        )
        assert.deepStrictEqual(yield* tags(record(1, 1), record(1, 2, completed(), 9300, 50)), [
          "Unchanged",
          "Recorded"
        ])
        same((yield* find(1)).last_error, Option.none())
        same(yield* totals, { ...noTotals, Completed: 1, processingMillis: 50 })
      })
    )

    test(
      "lines up by due time, then by arrival, new orders and retries alike",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), insert(3), claim(1), claim(2), claim(3))
        yield* write(record(1, 1, postponed(2000)), record(2, 1, postponed(1000)), record(3, 1, postponed(3000)))
        yield* TestClock.setTime(1000)
        yield* write(insert(4))
        yield* TestClock.setTime(2500)
        yield* write(insert(5))
        same(yield* window(9), { ready: [2, 4, 1, 5], nextDueAt: Option.some(3000), more: false })
        same(yield* window(3), { ready: [2, 4, 1], nextDueAt: Option.none(), more: true })
        same(yield* window(4), { ready: [2, 4, 1, 5], nextDueAt: Option.none(), more: true })
        same(yield* window(5), { ready: [2, 4, 1, 5], nextDueAt: Option.some(3000), more: false })
        yield* TestClock.setTime(2999)
        same((yield* window(9)).ready, [2, 4, 1, 5])
        yield* TestClock.setTime(3000)
        same(yield* window(9), { ready: [2, 4, 1, 5, 3], nextDueAt: Option.none(), more: false })
        yield* write(claim(1), release)
        same((yield* window(9)).ready, [2, 4, 1, 5, 3])
        same((yield* find(1)).next_attempt_at, Option.some(at(2000)))
      })
    )

    test(
      "puts an order back as if the run had not been, where it stood in line",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), insert(3), claim(2), record(2, 1, postponed(0)))
        const before = yield* find(2)
        yield* write(claim(2))
        yield* TestClock.setTime(3000)
        const { commit, results: recorded } = yield* write(record(2, 2, released(), 2500))
        same(recorded, [Result.Recorded()])
        const change = { key: 2, order_id: "2", user_id: "1", from: Option.some("Processing"), status: "Pending" }
        same(
          commit,
          Option.some({
            changes: [{ ...change, attempts: 1, at: at(3000), elapsedMillis: 0 }],
            totals: { ...noTotals, Pending: 3 }
          })
        )
        same({ ...(yield* find(2)) }, { ...before })
        same([before.attempts, before.last_error], [1, Option.some(postponed(0).error)])
        same(yield* window(9), { ready: [1, 2, 3], nextDueAt: Option.none(), more: false })
        assert.deepStrictEqual(yield* tags(record(2, 2), record(2, 2, released())), ["Unchanged", "Unchanged"])
        const [again] = yield* results(claim(2))
        same(again?._tag === "Claimed" && [again.claim.run, again.claim.attempt], [3, 2])
        // Only the run that is on can be put back.
        assert.deepStrictEqual(
          yield* tags(record(2, 2, released()), record(1, 0, released()), record(9, 1, released())),
          ["Unchanged", "Unchanged", "Unchanged"]
        )
        assert.strictEqual((yield* find(2)).status, "Processing")
      })
    )

    test(
      "puts an order back to a later time",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), insert(3), claim(1), claim(2))
        yield* TestClock.setTime(3000)
        yield* write(record(1, 1, released(0), 3000), record(2, 1, released(2000), 3000))
        for (const [id, dueAt] of [
          [1, Option.none()],
          [2, Option.some(at(5000))]
        ] as const) {
          const order = yield* find(id)
          same(
            [order.status, order.attempts, order.last_error, order.started_at, order.finished_at],
            ["Pending", 0, Option.none(), Option.none(), Option.none()]
          )
          same(order.next_attempt_at, dueAt)
        }
        same(yield* window(9), { ready: [3, 1], nextDueAt: Option.some(5000), more: false })
        // Put back without a time, it stands where it stood in line.
        yield* TestClock.setTime(6000)
        yield* write(claim(2), record(2, 2, released()))
        same((yield* find(2)).next_attempt_at, Option.some(at(5000)))
        same(yield* window(9), { ready: [3, 1, 2], nextDueAt: Option.none(), more: false })
        yield* write(claim(2), record(2, 3, completed(Option.some("done"))))
        const order = yield* find(2)
        same([order.status, order.attempts, order.result], ["Completed", 1, Option.some("done")])
      })
    )

    test(
      "settles outcomes of every kind in one batch",
      Effect.gen(function* () {
        yield* write(...Arr.map(Arr.range(1, 5), (id) => insert(id)), ...Arr.range(1, 5).map(claim))
        yield* write(
          record(1, 1, released()),
          record(2, 1, postponed(100)),
          record(3, 1, released(200)),
          record(4, 1, failed()),
          record(5, 1),
          record(1, 1)
        )
        const orders = yield* Effect.forEach(Arr.range(1, 5), (id) => find(id))
        same(
          orders.map(({ attempts, last_error, status }) => [status, attempts, Option.isSome(last_error)]),
          [
            ["Pending", 0, false],
            ["Pending", 1, true],
            ["Pending", 0, false],
            ["Failed", 1, true],
            ["Completed", 1, false]
          ]
        )
        same(yield* totals, { ...noTotals, Pending: 3, Failed: 1, Completed: 1 })
      })
    )

    // Rounds and traces

    test(
      "counts as a round each time that someone asks for an order, and nothing else",
      Effect.gen(function* () {
        const round = (...before: ReadonlyArray<Command>) =>
          Effect.gen(function* () {
            for (const command of before) yield* write(command)
            const [result] = yield* results(claim(1))
            return result?._tag === "Claimed" ? [result.claim.round, result.claim.run] : []
          })
        yield* write(insert(1))
        assert.deepStrictEqual(yield* round(), [1, 1])
        assert.deepStrictEqual(yield* round(record(1, 1, released(0))), [1, 2])
        assert.deepStrictEqual(yield* round(record(1, 2, postponed(0))), [1, 3])
        assert.deepStrictEqual(yield* round(release), [1, 4])
        assert.deepStrictEqual(yield* round(releaseOne(1)), [1, 5])
        assert.deepStrictEqual(yield* round(recover()), [1, 6])
        assert.deepStrictEqual(yield* round(recover(), insert(1)), [1, 7])
        assert.deepStrictEqual(yield* round(record(1, 7, failed()), reopen(1)), [2, 8])
        // Neither a retry of what is not final, nor one of other orders.
        assert.deepStrictEqual(yield* round(reopen(1), reopenMany(), releaseOne(1)), [2, 9])
        assert.deepStrictEqual(yield* round(record(1, 9, failed()), reopenMany({}, [2]), reopenMany({}, [1])), [3, 10])
        assert.deepStrictEqual(yield* round(cancel(1), reopen(1), cancel(1), reopen(1)), [5, 11])
        assert.deepStrictEqual(yield* round(record(1, 11, postponed(0))), [5, 12])
      })
    )

    test(
      "keeps the trace in which an order was submitted, for all of its claims",
      Effect.gen(function* () {
        const traceparent = (digit: string) => Option.some(`00-${digit.repeat(32)}-${digit.repeat(16)}-01`)
        const traced = (id: number, traceparent: Option.Option<string>) =>
          Command.Insert({ order: newOrder(id), traceparent })
        const [one, other] = [traceparent("1"), traceparent("2")]
        const claims = (...keys: Arr.NonEmptyReadonlyArray<number>) =>
          Effect.map(results(...Arr.map(keys, claim)), (results) =>
            results.map((result) => (result._tag === "Claimed" ? result.claim.traceparent : result))
          )
        // A replay tells nothing new.
        const inserted = yield* tags(traced(1, one), traced(2, Option.none()), traced(3, other), traced(1, other))
        assert.deepStrictEqual(inserted, ["Inserted", "Inserted", "Inserted", "Known"])
        yield* write(traced(2, one))
        same(yield* claims(1, 2, 3), [one, Option.none(), other])
        yield* write(record(1, 1, released()), record(2, 1, postponed(0)), record(3, 1, failed()), reopen(3))
        same(yield* claims(1, 2, 3), [one, Option.none(), other])
        yield* write(recover())
        same(yield* claims(1, 2, 3), [one, Option.none(), other])
      })
    )

    // Orders lost with the process

    test(
      "puts what was lost back as a counted attempt, and from the second loss in the suspects' lane",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), insert(3), claim(1), claim(2), claim(3), record(3, 1))
        yield* TestClock.setTime(4000)
        const { commit, results } = yield* write(recover())
        same(results, [Result.Recovered({ pending: 2, failed: 0 })])
        const made = { user_id: "1", from: Option.some("Processing"), status: "Pending", attempts: 1, at: at(4000) }
        same(sorted(commit), {
          changes: [
            { key: 1, order_id: "1", ...made, elapsedMillis: 0 },
            { key: 2, order_id: "2", ...made, elapsedMillis: 0 }
          ],
          totals: { ...noTotals, Pending: 2, Completed: 1 }
        })
        const order = yield* find(1)
        same(
          [order.status, order.attempts, order.started_at, order.next_attempt_at],
          ["Pending", 1, Option.none(), Option.none()]
        )
        const error = yield* order.last_error
        same([error.code, error.attempt, error.at], ["worker_lost", 1, at(4000)])
        same([(yield* window(9)).ready, (yield* window(9, "suspect")).ready], [[1, 2], []])

        yield* write(claim(2), recover())
        same([(yield* window(9)).ready, (yield* window(9, "suspect")).ready], [[1], [2]])
        assert.strictEqual((yield* find(2)).attempts, 2)
        same(yield* write(recover()), { results: [Result.Recovered({ pending: 0, failed: 0 })], commit: Option.none() })

        // A suspect stays one, whatever its later runs come to.
        yield* write(claim(2), record(2, 3, postponed(1000)))
        same(yield* window(9, "suspect"), { ready: [], nextDueAt: Option.some(5000), more: false })
        yield* TestClock.setTime(5000)
        yield* write(claim(2), release)
        same(yield* window(1, "suspect"), { ready: [2], nextDueAt: Option.none(), more: true })
        same((yield* window(9)).ready, [1])
      })
    )

    test(
      "ends as worker_lost only a suspect whose attempts are used up",
      Effect.gen(function* () {
        const lose = (maxAttempts: number) => tags(claim(1), recover(maxAttempts))
        yield* write(insert(1))
        // Once and twice lost beside others, whose fault it may have been: no reason to fail, however few attempts.
        for (const attempts of [1, 2]) {
          yield* lose(1)
          const order = yield* find(1)
          same([order.status, order.attempts], ["Pending", attempts])
        }
        // A suspect with attempts left.
        yield* lose(4)
        assert.strictEqual((yield* find(1)).status, "Pending")
        yield* TestClock.setTime(6000)
        yield* write(claim(1))
        yield* TestClock.setTime(6500)
        const { commit, results } = yield* write(recover(4))
        same(results, [Result.Recovered({ pending: 0, failed: 1 })])
        same(
          Option.map(commit, ({ changes, totals }) => [
            changes.map(({ attempts, status }) => [status, attempts]),
            totals
          ]),
          Option.some([[["Failed", 4]], { ...noTotals, Failed: 1 }])
        )
        const order = yield* find(1)
        same(
          [order.status, order.attempts, order.started_at, order.finished_at, order.next_attempt_at],
          ["Failed", 4, Option.some(at(6000)), Option.some(at(6500)), Option.none()]
        )
        const error = yield* order.last_error
        same([error.code, error.attempt, error.at], ["worker_lost", 4, at(6500)])
        assert.deepStrictEqual(yield* tags(record(1, 4), claim(1)), ["Unchanged", "Unchanged"])
        same((yield* window(9, "suspect")).ready, [])

        // Asked for again, it is of good standing again.
        yield* write(reopen(1))
        same([(yield* window(9)).ready, (yield* window(9, "suspect")).ready], [[1], []])
        yield* lose(1)
        assert.strictEqual((yield* find(1)).status, "Pending")
      })
    )

    test(
      "a shutdown is no loss",
      Effect.gen(function* () {
        yield* write(insert(1))
        for (let time = 0; time < 5; time++) yield* write(claim(1), release)
        yield* write(claim(1), record(1, 6, postponed(0)), claim(1), recover(1))
        same([(yield* window(9)).ready, (yield* window(9, "suspect")).ready], [[1], []])
      })
    )

    // Cancelling and retrying

    /** One order in each status, by its id; the retried one waits for its second attempt. */
    const oneOfEach = Effect.gen(function* () {
      yield* write(
        ...Arr.map(Arr.make("new", "retried", "processing", "completed", "failed", "cancelled"), (id) => insert(id))
      )
      yield* write(claim(2), claim(3), claim(4), claim(5))
      yield* write(
        record(2, 1, postponed(5000)),
        record(4, 1, completed(Option.some({ receipt: 1 })), 100),
        record(5, 1, failed(), 200),
        cancel("cancelled")
      )
    })

    test(
      "cancels what is Pending or Processing, and nothing else",
      Effect.gen(function* () {
        yield* oneOfEach
        yield* TestClock.setTime(3000)
        for (const [key, id, from, attempts] of [
          [1, "new", "Pending", 0],
          [2, "retried", "Pending", 1],
          [3, "processing", "Processing", 1]
        ] as const) {
          const before = yield* find(id)
          const { commit, results } = yield* write(cancel(id))
          const order = yield* find(id)
          same(results, [Result.Acted({ order, changed: true })])
          same(
            { ...order },
            {
              ...before,
              status: "Cancelled",
              next_attempt_at: Option.none(),
              finished_at: Option.some(at(3000))
            }
          )
          const change = { key, order_id: id, user_id: "1", from: Option.some(from), status: "Cancelled", attempts }
          same(
            Option.map(commit, ({ changes }) => changes),
            Option.some([{ ...change, at: at(3000), elapsedMillis: 0 }])
          )
        }
        same(yield* totals, { ...noTotals, Completed: 1, Failed: 1, Cancelled: 4, processingMillis: 100 })
        for (const id of ["completed", "failed", "cancelled", "new"]) {
          const order = yield* find(id)
          same(yield* write(cancel(id)), { results: [Result.Acted({ order, changed: false })], commit: Option.none() })
          same(yield* find(id), order)
        }
        same(yield* write(cancel("other")), { results: [Result.Missing()], commit: Option.none() })
        // The attempt that was running comes too late, and what waited is not worked.
        assert.deepStrictEqual(yield* tags(record(3, 1), claim(1), claim(2), claim(3), releaseOne(3), recover()), [
          "Unchanged",
          "Unchanged",
          "Unchanged",
          "Unchanged",
          "Released",
          "Recovered"
        ])
        assert.strictEqual((yield* find("processing")).status, "Cancelled")
        yield* TestClock.setTime(9000)
        same(yield* window(9), { ready: [], nextDueAt: Option.none(), more: false })
      })
    )

    test(
      "settles a cancel and an outcome of one batch in the order they came",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), claim(1), claim(2))
        const [one, two, three, four] = yield* results(cancel(1), record(1, 1), record(2, 1), cancel(2))
        assert.deepStrictEqual(
          [one?._tag === "Acted" && one.changed, two?._tag, three?._tag, four?._tag === "Acted" && four.changed],
          [true, "Unchanged", "Recorded", false]
        )
        assert.deepStrictEqual([(yield* find(1)).status, (yield* find(2)).status], ["Cancelled", "Completed"])
        assert.strictEqual(four?._tag === "Acted" && four.order.status, "Completed")
      })
    )

    test(
      "lets no order be cancelled before it started, when the clock was set back, nor at a time still to come",
      Effect.gen(function* () {
        yield* TestClock.setTime(5000)
        yield* write(insert(1), insert(2))
        yield* TestClock.setTime(8000)
        yield* write(claim(2))
        yield* TestClock.setTime(4000)
        yield* write(cancel(1), cancel(2))
        const [one, two] = yield* Effect.all([find(1), find(2)])
        same([one.finished_at, one.started_at], [Option.some(at(4000)), Option.none()])
        same([two.finished_at, two.started_at], [Option.some(at(4000)), Option.some(at(4000))])
      })
    )

    test(
      "reopens what is Failed or Cancelled, with a fresh set of attempts and the next run, and nothing else",
      Effect.gen(function* () {
        yield* oneOfEach
        yield* write(claim(2), cancel("retried"))
        yield* TestClock.setTime(3000)
        for (const [key, id, from, run] of [
          [2, "retried", "Cancelled", 3],
          [5, "failed", "Failed", 2],
          [6, "cancelled", "Cancelled", 1]
        ] as const) {
          const before = yield* find(id)
          const { commit, results: acted } = yield* write(reopen(id))
          const order = yield* find(id)
          same(acted, [Result.Acted({ order, changed: true })])
          same(
            { ...order },
            {
              ...before,
              status: "Pending",
              attempts: 0,
              started_at: Option.none(),
              finished_at: Option.none(),
              next_attempt_at: Option.some(at(3000)),
              result: Option.none()
            }
          )
          const change = { key, order_id: id, user_id: "1", from: Option.some(from), status: "Pending", attempts: 0 }
          same(
            Option.map(commit, ({ changes }) => changes),
            Option.some([{ ...change, at: at(3000), elapsedMillis: 0 }])
          )
          const [claimed] = yield* Effect.zipLeft(results(claim(key)), write(releaseOne(key)))
          same(claimed?._tag === "Claimed" && [claimed.claim.run, claimed.claim.attempt], [run, 1])
          // A late outcome of the runs before.
          assert.deepStrictEqual(yield* tags(record(key, run - 1)), ["Unchanged"])
        }
        same((yield* window(9)).ready, [1, 2, 5, 6])
        for (const id of ["new", "processing", "completed", "failed"]) {
          const order = yield* find(id)
          same(yield* write(reopen(id)), { results: [Result.Acted({ order, changed: false })], commit: Option.none() })
          same(yield* find(id), order)
        }
        same(yield* write(reopen("other")), { results: [Result.Missing()], commit: Option.none() })
      })
    )

    test(
      "reopens at the end of the line, even if that is full",
      Effect.gen(function* () {
        yield* write(insert(1), claim(1), record(1, 1, failed()), insert(2))
        yield* TestClock.setTime(10)
        assert.deepStrictEqual(yield* tags(reopen(1), insert(3)), ["Acted", "Full"])
        same((yield* window(9)).ready, [2, 1])
      }),
      { maxPending: 1 }
    )

    test(
      "reopens many by filter and key, oldest first, each once",
      Effect.gen(function* () {
        // Orders 1 to 8 Failed: odd ones of user 1, even ones of user 2, the last four by code "other". 9 and 10 Cancelled.
        yield* write(
          ...Arr.makeBy(8, (index) => insert(index + 1, { user_id: 1 + (index % 2) })),
          insert(9),
          insert(10)
        )
        for (let key = 1; key <= 8; key++) {
          yield* write(claim(key), record(key, 1, failed("no", key > 4 ? "other" : "out_of_stock"), key * 100))
        }
        yield* TestClock.setTime(800)
        yield* write(cancel(9), cancel(10))
        const reopened = (filter: Filter, until?: number) =>
          Effect.gen(function* () {
            const found = yield* reopenable(filter, until)
            for (const [limit, look] of [
              [1, 100],
              [100, 1],
              [2, 3]
            ] as const) {
              assert.deepStrictEqual(yield* reopenable(filter, until, limit, look), found)
            }
            const { commit, results: made } = yield* write(reopenMany(filter, found))
            const keys = sorted(commit).changes.map(({ key }) => key)
            same(made, [Result.Reopened({ count: keys.length })])
            for (const key of keys) {
              const { attempts, finished_at, next_attempt_at, result, started_at, status } = yield* find(key)
              same(
                [status, attempts, started_at, finished_at, next_attempt_at, result],
                ["Pending", 0, Option.none(), Option.none(), Option.some(at(800)), Option.none()]
              )
              const [claimed] = yield* results(claim(key))
              if (claimed?._tag !== "Claimed") return assert.fail(`${key} cannot be claimed`)
              yield* write(record(key, claimed.claim.run, failed("again", "again"), 900))
            }
            assert.deepStrictEqual(keys, found)
            return keys
          })
        assert.deepStrictEqual(yield* reopened({ status: "Completed" }), [])
        assert.deepStrictEqual(yield* reopened({ status: "Pending" }), [])
        assert.deepStrictEqual(yield* reopened({ error_code: "none" }), [])
        assert.deepStrictEqual(yield* reopened({ status: "Cancelled", error_code: "other" }), [])
        assert.deepStrictEqual(yield* reopened({ accepted_before: at(0) }), [])
        assert.deepStrictEqual(yield* reopened({ accepted_after: at(1) }), [])
        assert.deepStrictEqual(yield* reopened({}, 0), [])
        assert.deepStrictEqual(yield* reopened({}, 1), [1])
        assert.deepStrictEqual(yield* reopened({ user_id: "2" }, 3), [2])
        assert.deepStrictEqual(yield* reopened({ user_id: "2", error_code: "other" }), [6, 8])
        assert.deepStrictEqual(yield* reopened({ error_code: "out_of_stock", accepted_after: at(0) }), [3, 4])
        assert.deepStrictEqual(yield* reopened({ accepted_before: at(1), error_code: "other" }), [5, 7])
        assert.deepStrictEqual(yield* reopened({ status: "Cancelled" }, 9), [9])
        assert.strictEqual((yield* find(10)).status, "Cancelled")
        assert.deepStrictEqual(yield* reopened({}), keyRange(1, 9))

        // What is no longer as it was found is left as it is.
        assert.deepStrictEqual(yield* reopenable({ error_code: "again" }, 2), keyRange(1, 2))
        yield* write(reopen(1), claim(1), reopen(2))
        yield* write(record(1, 4, failed("no", "new")))
        same(yield* results(reopenMany({ error_code: "again" }, [1, 2, 3, 99])), [Result.Reopened({ count: 1 })])
        assert.deepStrictEqual(
          [(yield* find(1)).status, (yield* find(2)).attempts, (yield* find(3)).status],
          ["Failed", 0, "Pending"]
        )
      })
    )

    // Listing

    test(
      "lists newest first, by all filters together",
      Effect.gen(function* () {
        yield* oneOfEach
        yield* TestClock.setTime(1000)
        yield* write(insert("a", { user_id: 2 }), insert("b", { user_id: 2 }), insert("c", { user_id: 2 }))
        yield* write(claim(7), claim(8), record(7, 1, failed("no", "other")), record(8, 1, failed()))
        const { found: orders } = yield* Effect.flatMap(OrdersRepo, (repo) => repo.list({}, Option.none(), 100))
        same(
          orders.map(({ key }) => key),
          [9, 8, 7, 6, 5, 4, 3, 2, 1]
        )
        for (const { order } of orders) same(order, yield* find(order.order_id))

        // Every combination, held against what the filters mean.
        const some = <A>(...values: ReadonlyArray<A>) => [undefined, ...values]
        for (const status of some("Pending", "Processing", "Completed", "Failed", "Cancelled") as ReadonlyArray<
          Status | undefined
        >) {
          for (const user_id of some("1", "2", "3")) {
            for (const error_code of some("out_of_stock", "other", "busy")) {
              for (const [after, before] of [
                [],
                [0],
                [1],
                [1000],
                [1001],
                [0, 1000],
                [0, 0],
                [1, 1001],
                [undefined, 1000]
              ]) {
                const filter = {
                  status,
                  user_id,
                  error_code,
                  accepted_after: after === undefined ? undefined : at(after),
                  accepted_before: before === undefined ? undefined : at(before)
                }
                const expected = orders.flatMap(({ order }) =>
                  (status ?? order.status) === order.status &&
                  (user_id ?? order.user_id) === order.user_id &&
                  (error_code === undefined ||
                    (order.status === "Failed" &&
                      Option.exists(order.last_error, ({ code }) => code === error_code))) &&
                  order.accepted_at.epochMillis >= (after ?? 0) &&
                  order.accepted_at.epochMillis < (before ?? Infinity)
                    ? [order.order_id]
                    : []
                )
                assert.deepStrictEqual(yield* listed(filter), expected, JSON.stringify(filter))
                assert.deepStrictEqual(yield* listed(filter, 2, 3), expected, JSON.stringify(filter))
              }
            }
          }
        }
      })
    )

    test(
      "pages without repeating or skipping, whatever is inserted meanwhile",
      Effect.gen(function* () {
        same(yield* page(), { ids: [], next: Option.none() })
        yield* write(...Arr.makeBy(25, (index) => insert(index + 1, { user_id: 1 + (index % 2) })))
        for (const [filter, expected, look] of [
          [{}, Arr.reverse(Arr.range(1, 25)), undefined],
          [{ user_id: "2" }, Arr.makeBy(12, (index) => 24 - 2 * index), 3],
          [{ status: "Pending" }, Arr.reverse(Arr.range(1, 25)), 3],
          // Looked for among the user's orders, none of which it is.
          [{ user_id: "2", status: "Completed" }, [], 3]
        ] satisfies ReadonlyArray<readonly [Filter, ReadonlyArray<number>, number | undefined]>) {
          const seen: Array<string> = []
          let next = Option.some(26)
          let steps = 0
          while (Option.isSome(next)) {
            const { ids, next: after } = yield* page(filter, next, 4, look)
            assert.isAtMost(ids.length, Math.min(4, look ?? 4))
            seen.push(...ids)
            next = after
            steps += 1
            yield* write(insert(`later-${JSON.stringify(filter).length}-${steps}`, { user_id: 2 }))
          }
          assert.deepStrictEqual(seen, expected.map(String))
          assert.isAtLeast(steps, 4)
        }
        same((yield* page({}, Option.some(3), 9)).ids, ["2", "1"])
        same(yield* page({}, Option.some(1), 9), { ids: [], next: Option.none() })
      })
    )

    test(
      "lists by time of acceptance, with equal times and a clock that was set back",
      Effect.gen(function* () {
        for (const [id, time] of [
          [1, 100],
          [2, 100],
          [3, 300],
          [4, 200],
          [5, 300],
          [6, 301],
          [7, 50],
          [8, 400]
        ] as const) {
          yield* TestClock.setTime(time)
          yield* write(insert(id))
        }
        const range = (after?: number, before?: number) =>
          Effect.map(
            listed({
              accepted_after: after === undefined ? undefined : at(after),
              accepted_before: before === undefined ? undefined : at(before)
            }),
            (ids) => ids.map(Number).reverse()
          )
        assert.deepStrictEqual(yield* range(0, 1000), Arr.range(1, 8))
        assert.deepStrictEqual(yield* range(100), [1, 2, 3, 4, 5, 6, 8])
        assert.deepStrictEqual(yield* range(101), [3, 4, 5, 6, 8])
        assert.deepStrictEqual(yield* range(300, 301), [3, 5])
        assert.deepStrictEqual(yield* range(300, 300), [])
        assert.deepStrictEqual(yield* range(301, 400), [6])
        assert.deepStrictEqual(yield* range(undefined, 300), [1, 2, 4, 7])
        assert.deepStrictEqual(yield* range(undefined, 100), [7])
        assert.deepStrictEqual(yield* range(400), [8])
        assert.deepStrictEqual(yield* range(401), [])
        assert.deepStrictEqual(yield* range(400, 100), [])
      })
    )

    test(
      "groups the Failed by error code, the most frequent first",
      Effect.gen(function* () {
        const none = { count: 0, groups: 0 }
        same(yield* failures, { failures: [], other: none })
        yield* write(...Arr.makeBy(12, (index) => insert(index + 1)))
        const ends = [
          [1, "b", 900],
          [2, "b", 300],
          [3, "b", 500],
          [4, "b", 400],
          [5, "b", 600],
          [6, "b", 700],
          [7, "c", 800],
          [8, "a", 100],
          [9, "z", 100],
          [10, "z", 100]
        ] as const
        for (const [key, code, time] of ends) yield* write(claim(key), record(key, 1, failed("no", code), time))
        // Neither is Failed, though both have a last error.
        yield* write(
          claim(11),
          record(11, 1, postponed(9000, "b")),
          claim(12),
          record(12, 1, failed("no", "b")),
          reopen(12)
        )
        const group = (
          error_code: string,
          count: number,
          first: number,
          last: number,
          order_ids: ReadonlyArray<string>
        ) => ({
          error_code,
          count,
          first_at: at(first),
          last_at: at(last),
          order_ids
        })
        same(yield* failures, {
          failures: [
            group("b", 6, 300, 900, ["6", "5", "4", "3", "2"]),
            group("z", 2, 100, 100, ["10", "9"]),
            group("a", 1, 100, 100, ["8"]),
            group("c", 1, 800, 800, ["7"])
          ],
          other: none
        })
        yield* write(reopen(7), reopenMany({ error_code: "b" }, [1, 7]))
        same(
          (yield* failures).failures.map(({ count, error_code }) => [error_code, count]),
          [
            ["b", 5],
            ["z", 2],
            ["a", 1]
          ]
        )
        same((yield* failures).failures[0], group("b", 5, 300, 700, ["6", "5", "4", "3", "2"]))
        yield* write(reopenMany())
        same(yield* failures, { failures: [], other: none })
      })
    )

    test(
      "counts the Failed of codes beyond the hundred most frequent, so that all add up",
      Effect.gen(function* () {
        const codeOf = (key: number) => `code-${key % 155}`
        yield* write(...Arr.map(Arr.range(1, 207), (key) => insert(key)))
        yield* write(...Arr.map(Arr.range(1, 207), claim))
        yield* write(...Arr.map(Arr.range(1, 207), (key) => record(key, 1, failed("no", codeOf(key)), 1)))
        const { failures: shown, other } = yield* failures
        assert.strictEqual(shown.length, 100)
        assert.deepStrictEqual({ ...other }, { count: 55, groups: 55 })
        assert.strictEqual(
          shown.reduce((sum, { count }) => sum + count, other.count),
          (yield* totals).Failed
        )
        yield* write(reopenMany({}, Arr.range(1, 155)))
        const { failures: left, other: none } = yield* failures
        assert.deepStrictEqual([left.length, { ...none }], [52, { count: 0, groups: 0 }])
      })
    )

    // Releases and probes

    test(
      "puts back all that is processing",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), insert(3), claim(1), claim(2), claim(3), record(2, 1))
        yield* TestClock.setTime(8000)
        const { commit, results } = yield* write(release)
        same(results, [Result.Released({ count: 2 })])
        const made = { user_id: "1", from: Option.some("Processing"), status: "Pending", attempts: 0 }
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
          ["Pending", 0, Option.none(), Option.none()]
        )
        const again = yield* write(release, release)
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

conformance("OrdersRepoSql.layer", sqlRepo)
conformance("OrdersRepoMemory.layer", memoryRepo)
