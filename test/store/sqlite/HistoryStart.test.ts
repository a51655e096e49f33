import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Layer, Option, TestClock } from "effect"
import { AppConfig } from "../../../src/AppConfig.ts"
import { ChangeFeed } from "../../../src/store/ChangeFeed.ts"
import { OrderEvents } from "../../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../../src/store/OrdersRepo.ts"
import { connect } from "../../support/Database.ts"
import { claim, completed, insert, record, write } from "../../support/RepoKit.ts"
import { config, sqlRepo } from "../../support/TestLayers.ts"

/** What a service does between its start and its end, with a feed of the changes made before. */
const run = <A, E>(body: Effect.Effect<A, E, OrdersRepo | ChangeFeed | AppConfig>, history: "on" | "off" = "on") =>
  Effect.flatMap(AppConfig, (settings) =>
    body.pipe(
      Effect.provide(
        ChangeFeed.layer.pipe(
          Layer.provideMerge(OrderEvents.layer),
          Layer.provideMerge(sqlRepo),
          Layer.provide(
            Layer.succeed(AppConfig, { ...settings, history: history === "off" ? Option.none() : settings.history })
          )
        )
      )
    )
  )

const order = (key: number) => Effect.zipRight(write(insert(key)), write(claim(key)))
const complete = (key: number) => write(record(key, 1, completed()))

const range = Effect.flatMap(OrdersRepo, (repo) => repo.historyRange)

const changesOf = (order_id: number) =>
  Effect.flatMap(OrdersRepo, (repo) =>
    Effect.map(repo.changes({ order_id: String(order_id) }, 0, 100), ({ found }) =>
      found.map(({ id, to }) => [id, to] as const)
    )
  )

/** Where a reader is sent that comes with that id, and what it is given then. */
const resumed = Effect.fnUntraced(function* (after: number) {
  const reader = (yield* ChangeFeed).reader({}, Option.some(after))
  const first = yield* reader.read(100)
  if (Option.isNone(first.reset)) return { reset: undefined, ids: first.changes.map(({ id }) => id) }
  const { changes } = yield* reader.read(100)
  return { reset: first.reset.value, ids: changes.map(({ id }) => id) }
})

describe("HISTORY=off", () => {
  it.scoped("removes what was kept; on again it begins anew, and readers are sent there", () =>
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      yield* run(Effect.all([order(1), order(2)]))

      yield* run(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* range, { from: 5, last: 4 })
          assert.deepStrictEqual(yield* changesOf(1), [])
          assert.deepStrictEqual(yield* resumed(2), { reset: 5, ids: [] })
          yield* complete(1)
          assert.deepStrictEqual(yield* range, { from: 6, last: 5 })
        }),
        "off"
      )
      assert.deepStrictEqual(
        connect(databaseFile, (db) => db.prepare("SELECT * FROM changes").all()),
        []
      )

      yield* run(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* range, { from: 6, last: 5 })
          yield* complete(2)
          yield* order(3)
        })
      )
      yield* run(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* changesOf(1), [])
          assert.deepStrictEqual(yield* changesOf(2), [[6, "Completed"]])
          assert.deepStrictEqual(yield* changesOf(3), [
            [7, "Pending"],
            [8, "Processing"]
          ])
          assert.deepStrictEqual(yield* resumed(0), { reset: 6, ids: [6, 7, 8] })
          assert.deepStrictEqual(yield* resumed(5), { reset: undefined, ids: [6, 7, 8] })
        })
      )
    }).pipe(Effect.provide(config()))
  )
})

describe("a copy that takes the place of its database", () => {
  const isMarked = (file: string) => connect(file, (db) => db.pragma("user_version", { simple: true }))
  const mark = (file: string) => connect(file, (db) => db.pragma("user_version = 1"))

  it.scoped("goes on behind every id there was, keeps the history of orders, and sends readers on", () =>
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      yield* run(order(1))
      mark(databaseFile)
      yield* run(
        Effect.gen(function* () {
          const { from, last } = yield* range
          assert.isAtLeast(last, 1_000_000_002)
          assert.strictEqual(from, last + 1)
          yield* complete(1)
        })
      )
      assert.strictEqual(isMarked(databaseFile), 0)
      yield* run(
        Effect.gen(function* () {
          const { from } = yield* range
          assert.deepStrictEqual(yield* changesOf(1), [
            [1, "Pending"],
            [2, "Processing"],
            [from, "Completed"]
          ])
          // Those in the copy, those that were lost with the other, and one that never was.
          for (const after of [0, 1, 2, 3, 500_000, from - 2, from + 1]) {
            assert.deepStrictEqual(yield* resumed(after), { reset: from, ids: [from] })
          }
          assert.deepStrictEqual(yield* resumed(from - 1), { reset: undefined, ids: [from] })
        })
      )
    }).pipe(Effect.provide(config()))
  )

  it.scoped("goes on behind what came of it before, when it is put in place again", () =>
    Effect.gen(function* () {
      const { databaseFile } = yield* AppConfig
      const lasts: Array<number> = []
      for (const time of Arr.map(Arr.make(0, 60_000, 120_000), (passed) => Date.UTC(2026, 10, 26) + passed)) {
        yield* TestClock.setTime(time)
        // As the copy has it.
        yield* run(Effect.void)
        connect(databaseFile, (db) => db.exec("UPDATE totals SET last_change = 2, history_from = 1"))
        mark(databaseFile)
        lasts.push((yield* run(range)).last)
      }
      const [first = 0, second = 0, third = 0] = lasts
      // More than can be made in a minute.
      assert.isAtLeast(second - first, 10_000_000)
      assert.isAtLeast(third - second, 10_000_000)
      assert.isTrue(Number.isSafeInteger(third * 2))
    }).pipe(Effect.provide(config()))
  )
})
