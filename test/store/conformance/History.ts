import { assert, describe } from "@effect/vitest"
import { Array as Arr, type DateTime, Effect, Option, TestClock } from "effect"
import { type ChangeFilter, changeFits, type OrderChange } from "../../../src/order/OrderChange.ts"
import { Command, Result } from "../../../src/store/Command.ts"
import { noTotals } from "../../../src/store/CommandGroups.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import {
  at,
  cancel,
  claim,
  completed,
  failed,
  gather,
  insert,
  oneOfEach,
  postponed,
  rebase,
  record,
  recover,
  release,
  released,
  releaseOne,
  reopen,
  reopenMany,
  same,
  tags,
  totals,
  write
} from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

const range = Effect.flatMap(OrdersRepo, (repo) => repo.historyRange)
const search = (filter: ChangeFilter, after = 0, limit = 100, look?: number) =>
  Effect.flatMap(OrdersRepo, (repo) => repo.changes(filter, after, limit, look))
const all = (filter: ChangeFilter = {}, limit = 100, look?: number) =>
  Effect.flatMap(OrdersRepo, (repo) =>
    gather(
      (after) =>
        repo.changes(
          filter,
          Option.getOrElse(after, () => 0),
          limit,
          look
        ),
      limit
    )
  )
const prune = (before: number) => Command.Prune({ before: at(before), asOf: at(before), limit: 100 })

const millis = Option.map((time: DateTime.Utc) => time.epochMillis)

/** What a change says, in a line. */
const line = ({ at, attempt, by, error, from, id, next_attempt_at, order_id, reason, run, to }: OrderChange) =>
  [
    `${id}: ${order_id} ${Option.getOrElse(from, () => "new")} > ${to} at ${at.epochMillis}, ${reason}, ${run}/${attempt}`,
    ...Arr.fromOption(Option.map(error, ({ code, message }) => `${code} (${message})`)),
    ...Arr.fromOption(Option.map(millis(next_attempt_at), (due) => `due ${due}`)),
    ...Arr.fromOption(Option.map(by, (name) => `by ${name}`))
  ].join(", ")

/** What a write adds to the history: the changes of its commit, whose ids go on from those before. */
const added = (...commands: Arr.NonEmptyReadonlyArray<Command>) =>
  Effect.gen(function* () {
    const { last } = yield* range
    const { commit } = yield* write(...commands)
    const changes = Option.match(commit, { onNone: () => [], onSome: ({ changes }) => changes })
    const { found } = yield* search({}, last)
    same(
      found,
      Arr.map(changes, ({ elapsedMillis, ...change }) => change)
    )
    assert.deepStrictEqual(
      found.map(({ id }) => id),
      Arr.makeBy(changes.length, (index) => last + 1 + index).slice(0, changes.length)
    )
    assert.strictEqual((yield* range).last, last + changes.length)
    return found.map(line)
  })

export const histories = (layer: RepoLayer) =>
  describe("History", () => {
    const test = testOf(layer)

    test(
      "has why each change was made, when, in which run, with which error, and by whom",
      Effect.gen(function* () {
        const why = Option.some({ code: "shop_down", message: "closed" })
        const story: ReadonlyArray<Arr.NonEmptyReadonlyArray<Command>> = [
          [insert(1)],
          [claim(1)],
          [record(1, 1, postponed(500), 2900)],
          [claim(1), record(1, 2, released(undefined, why), 3900)],
          [claim(1), record(1, 3, released(200), 4900)],
          [claim(1), release],
          [claim(1), releaseOne(1)],
          [claim(1), recover()],
          [claim(1), record(1, 7, failed(), 8800)],
          [reopen(1, "ann")],
          [cancel(1, "bob")],
          [reopenMany({ status: "Cancelled" }, [1], "eve")],
          [claim(1), cancel(1)],
          [reopen(1), claim(1), record(1, 9, completed(), 13_700)],
          [insert(2), claim(2), record(2, 1, postponed(0))]
        ]
        const lines: Array<string> = []
        for (const [index, commands] of story.entries()) {
          yield* TestClock.setTime(index * 1000)
          lines.push(...(yield* added(...commands)))
        }
        assert.deepStrictEqual(lines, [
          "1: 1 new > Pending at 0, accepted, 0/0",
          "2: 1 Pending > Processing at 1000, claimed, 1/1",
          "3: 1 Processing > Pending at 2000, retry_scheduled, 1/1, busy (later), due 2500",
          "4: 1 Pending > Processing at 3000, claimed, 2/2",
          "5: 1 Processing > Pending at 3000, put_back, 2/1, shop_down (closed)",
          "6: 1 Pending > Processing at 4000, claimed, 3/2",
          "7: 1 Processing > Pending at 4000, put_back, 3/1, due 4200",
          "8: 1 Pending > Processing at 5000, claimed, 4/2",
          "9: 1 Processing > Pending at 5000, put_back, 4/1",
          "10: 1 Pending > Processing at 6000, claimed, 5/2",
          "11: 1 Processing > Pending at 6000, put_back, 5/1",
          "12: 1 Pending > Processing at 7000, claimed, 6/2",
          "13: 1 Processing > Pending at 7000, lost, 6/2, worker_lost (The process ended while it worked on this order)",
          "14: 1 Pending > Processing at 8000, claimed, 7/3",
          "15: 1 Processing > Failed at 8800, failed, 7/3, out_of_stock (no stock)",
          "16: 1 Failed > Pending at 9000, retried, 7/0, by ann",
          "17: 1 Pending > Cancelled at 10000, cancelled, 7/0, by bob",
          "18: 1 Cancelled > Pending at 11000, retried, 7/0, by eve",
          "19: 1 Pending > Processing at 12000, claimed, 8/1",
          "20: 1 Processing > Cancelled at 12000, cancelled, 8/1",
          "21: 1 Cancelled > Pending at 13000, retried, 8/0",
          "22: 1 Pending > Processing at 13000, claimed, 9/1",
          "23: 1 Processing > Completed at 13700, completed, 9/1",
          "24: 2 new > Pending at 14000, accepted, 0/0",
          "25: 2 Pending > Processing at 14000, claimed, 1/1",
          "26: 2 Processing > Pending at 14000, retry_scheduled, 1/1, busy (later), due 14000"
        ])
        assert.deepStrictEqual((yield* all({ order_id: "1" })).map(line), lines.slice(0, 23))
      })
    )

    test(
      "has the changes of many orders in the order of the commands that made them",
      Effect.gen(function* () {
        const lines = yield* added(insert("a"), cancel("a"), insert("b"), claim(2), reopen("a"), record(2, 1), claim(1))
        assert.deepStrictEqual(
          lines.map((line) => line.split(" at ")[0]),
          [
            "1: a new > Pending",
            "2: a Pending > Cancelled",
            "3: b new > Pending",
            "4: b Pending > Processing",
            "5: a Cancelled > Pending",
            "6: b Processing > Completed",
            "7: a Pending > Processing"
          ]
        )
        const ids = Arr.range(1, 500)
        yield* write(insert("c"), ...ids.map((id) => insert(id)))
        yield* write(...Arr.map(ids, (id) => claim(id + 3)))
        yield* write(...Arr.map(ids, (id) => record(id + 3, 1, id % 7 === 0 ? failed(`no ${id}`) : completed(), id)))
        const found = yield* all({}, 200)
        assert.deepStrictEqual(
          found.map(({ id }) => id),
          Arr.range(1, 8 + 3 * 500)
        )
        // Each in its place, whatever the neighbours that it was written with.
        for (const { at, error, key, order_id, reason } of found.slice(-500)) {
          assert.deepStrictEqual([key, at.epochMillis], [Number(order_id) + 3, Number(order_id)])
          assert.strictEqual(reason, Number(order_id) % 7 === 0 ? "failed" : "completed")
          assert.strictEqual(Option.getOrUndefined(error)?.message, reason === "failed" ? `no ${order_id}` : undefined)
        }
      })
    )

    test(
      "has nothing of commands that changed no status",
      Effect.gen(function* () {
        yield* oneOfEach
        const before = { found: yield* all(), range: yield* range }
        assert.lengthOf(before.found, 6 + 4 + 4)
        const lines = yield* added(
          ...[insert("new"), insert("failed", { user_id: 7 }), claim(3), claim(99), record(3, 9), record(1, 1)],
          ...[cancel("completed"), cancel("cancelled"), cancel("none"), reopen("new"), reopen("none")],
          ...[reopenMany({ status: "Completed" }), reopenMany({ error_code: "other" }), releaseOne(1)],
          ...[rebase(), rebase(300), Command.Probe(), prune(0)]
        )
        assert.deepStrictEqual(lines, [])
        same({ found: yield* all(), range: yield* range }, before)
      })
    )

    test(
      "is searched by order, user and new status, a few changes at a time",
      Effect.gen(function* () {
        const ids = Arr.range(1, 12)
        yield* write(insert("x"), ...ids.map((id) => insert(id, { user_id: 1 + (id % 2) })))
        yield* write(...Arr.map(ids, (id) => claim(id + 1)))
        yield* write(...Arr.map(ids, (id) => record(id + 1, 1, id % 3 === 0 ? failed() : completed())))
        const changes = yield* all()
        assert.lengthOf(changes, 37)
        const filters: ReadonlyArray<ChangeFilter> = [
          {},
          { order_id: "3" },
          { order_id: "none" },
          { user_id: "2" },
          { user_id: "none" },
          { status: "Failed" },
          { status: "Cancelled" },
          { user_id: "2", status: "Completed" },
          { order_id: "3", status: "Failed" },
          { order_id: "3", user_id: "1" }
        ]
        for (const filter of filters) {
          const fitting = changes.filter((change) => changeFits(filter, change))
          for (const [limit, look] of [
            [1, 1],
            [2, 3],
            [3, 100],
            [100, 5]
          ] as const) {
            same(yield* all(filter, limit, look), fitting, JSON.stringify({ filter, limit, look }))
          }
          const after = 20
          same(
            (yield* search(filter, after)).found,
            fitting.filter(({ id }) => id > after)
          )
        }
        same(yield* search({ user_id: "none" }, 3, 10, 5), { found: [], next: Option.some(8) })
        same((yield* search({ user_id: "2" }, 0, 2)).next, Option.some(4))
        same(yield* search({}, 37), { found: [], next: Option.none() })
        same(yield* search({}, 99), { found: [], next: Option.none() })
      })
    )

    test(
      "loses the changes of an order that is pruned, and is whole behind the last of them",
      Effect.gen(function* () {
        yield* write(insert(1), insert(2), insert(3))
        yield* write(cancel(2))
        yield* write(claim(1))
        assert.deepStrictEqual(yield* range, { from: 1, last: 5 })
        yield* TestClock.setTime(1000)
        assert.deepStrictEqual(yield* added(prune(1000)), [])
        assert.deepStrictEqual(
          (yield* all()).map(({ id, order_id }) => [id, order_id]),
          [
            [1, "1"],
            [3, "3"],
            [5, "1"]
          ]
        )
        assert.deepStrictEqual(yield* range, { from: 5, last: 5 })
        assert.deepStrictEqual(yield* all({ order_id: "2" }), [])
        assert.lengthOf(yield* added(cancel(1)), 1)
        assert.deepStrictEqual(yield* range, { from: 5, last: 6 })
        // Those made in the same transaction too.
        const { commit, results } = yield* write(insert(4), cancel(4), prune(9000), insert(5))
        assert.deepStrictEqual(
          [results[2], Option.map(commit, ({ changes }) => changes.map(({ id }) => id))],
          [Result.Pruned({ count: 2 }), Option.some([7, 8, 9])]
        )
        assert.deepStrictEqual(
          (yield* all()).map(({ id }) => id),
          [3, 9]
        )
        assert.deepStrictEqual(yield* range, { from: 9, last: 9 })
      })
    )

    test(
      "that is off keeps no change, and ids go on",
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* range, { from: 1, last: 0 })
        const { commit } = yield* write(insert(1), insert(2), claim(1))
        assert.deepStrictEqual(
          Option.map(commit, ({ changes }) => changes.map(({ id }) => id)),
          Option.some([1, 2, 3])
        )
        assert.deepStrictEqual(yield* all(), [])
        assert.deepStrictEqual(yield* range, { from: 4, last: 3 })
        yield* write(claim(1))
        assert.deepStrictEqual(yield* range, { from: 4, last: 3 })
        yield* write(cancel(2))
        assert.deepStrictEqual(yield* range, { from: 5, last: 4 })
      }),
      { history: Option.none() }
    )

    test(
      "admits as many orders as may wait after all that was done before in the same transaction",
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* tags(insert(1), insert(2), insert(3)), ["Inserted", "Inserted", "Full"])
        assert.deepStrictEqual(
          yield* tags(
            ...[cancel(1), insert(3), insert(4), claim(2), insert(5), insert(6)],
            ...[reopen(1), insert(7), claim(3), claim(4), insert(8), insert(9)],
            ...[record(2, 1, postponed(0)), insert(10), releaseOne(3), cancel(2), insert(11)]
          ),
          [
            ...["Acted", "Inserted", "Full", "Claimed", "Inserted", "Full"],
            ...["Acted", "Full", "Claimed", "Claimed", "Inserted", "Full"],
            ...["Recorded", "Full", "Released", "Acted", "Full"]
          ]
        )
        // Those of ids 1, 8 and 3 wait, beyond what may be; that of id 5 is in work.
        same(yield* totals, { ...noTotals, Pending: 3, Processing: 1, Cancelled: 1 })
        assert.deepStrictEqual(yield* tags(cancel(1), cancel(8), insert(12), insert(13)), [
          ...["Acted", "Acted", "Inserted", "Full"]
        ])
      }),
      { maxPending: 2 }
    )
  })
