import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, type Context, Effect, Fiber, Layer, Option, TestClock } from "effect"
import type { AppConfig } from "../../src/AppConfig.ts"
import { StorageUnavailable } from "../../src/order/Order.ts"
import type { ChangeFilter } from "../../src/order/OrderChange.ts"
import { ChangeFeed, type FeedReader } from "../../src/store/ChangeFeed.ts"
import { Command } from "../../src/store/Command.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { longTest } from "../support/Limits.ts"
import { at, cancel, claim, commit, insert, record, write } from "../support/RepoKit.ts"
import { config, memoryRepo, type Settings, sqlRepo } from "../support/TestLayers.ts"
import { turn, turns } from "../support/Until.ts"

/** A feed that begins with what the repository holds then. */
const feed = Layer.provideMerge(ChangeFeed.layer, OrderEvents.layer)

const test = (
  title: string,
  body: Effect.Effect<void, unknown, OrdersRepo | AppConfig>,
  { timeout, ...settings }: Settings & { readonly timeout?: number } = {}
) => {
  for (const [name, repo] of [
    ["SQL", sqlRepo],
    ["memory", memoryRepo]
  ] as const) {
    it.effect(
      `${title}, ${name}`,
      () => body.pipe(Effect.provide(Layer.provideMerge(repo, config(settings)))),
      ...(timeout === undefined ? [] : [timeout])
    )
  }
}

const readerOf = (after?: number, filter: ChangeFilter = {}) =>
  Effect.map(ChangeFeed, (feed) => feed.reader(filter, Option.fromNullable(after)))

interface Step {
  readonly ids: ReadonlyArray<number>
  readonly more: boolean
  readonly reset: number | null
}

const step = (reader: FeedReader, limit = 1000) =>
  Effect.map(
    reader.read(limit),
    ({ changes, more, reset }): Step => ({ ids: changes.map(({ id }) => id), more, reset: Option.getOrNull(reset) })
  )
const stepOf = (ids: ReadonlyArray<number>, more = false): Step => ({ ids, more, reset: null })
const resetTo = (reset: number): Step => ({ ids: [], more: true, reset })

/** What there is to read, of which nothing is missing. */
const rest = (reader: FeedReader, limit: number) =>
  Effect.gen(function* () {
    const ids: Array<number> = []
    let isMore = true
    while (isMore) {
      const { changes, more, reset } = yield* reader.read(limit)
      assert.isTrue(Option.isNone(reset))
      assert.isAtMost(changes.length, limit)
      ids.push(...changes.map(({ id }) => id))
      isMore = more
    }
    return ids
  })

/** Orders that are accepted, claimed and completed, `count` at a time: three times as many changes. */
const complete = (first: number, count: number) =>
  Effect.gen(function* () {
    const keys = Arr.range(first, first + count - 1)
    yield* commit(...Arr.map(keys, (key) => insert(key)))
    yield* commit(...Arr.map(keys, (key) => claim(key)))
    yield* commit(...Arr.map(keys, (key) => record(key, 1)))
  })

const forget = (before: number, limit = 100) => Command.Forget({ before: at(before), asOf: at(before), limit })

/** Changes 1 to 5, each at the time of its id. */
const fiveChanges = Effect.forEach(Arr.range(1, 5), (id) =>
  Effect.zipRight(TestClock.setTime(id), write(insert(id, { user_id: id })))
)

/** The repository of the context in which something is otherwise. */
const altered = (alter: (repo: Context.Tag.Service<OrdersRepo>) => Partial<Context.Tag.Service<OrdersRepo>>) =>
  Layer.effect(
    OrdersRepo,
    Effect.map(OrdersRepo, (repo) => ({ ...repo, ...alter(repo) }))
  )

describe("ChangeFeed", () => {
  test(
    "reads from now on, from behind a change on, or from the oldest on",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2))
      yield* Effect.gen(function* () {
        const [now, behind, all] = [yield* readerOf(), yield* readerOf(1), yield* readerOf(0)]
        assert.deepStrictEqual(
          [now, behind, all].map((reader) => reader.place()),
          [2, 1, 0]
        )
        assert.deepStrictEqual(yield* step(now), stepOf([]))
        assert.deepStrictEqual(yield* step(behind), stepOf([2]))
        yield* commit(insert(3))
        assert.deepStrictEqual(yield* step(now), stepOf([3]))
        assert.deepStrictEqual(yield* step(behind), stepOf([3]))
        assert.deepStrictEqual(yield* rest(all, 100), [1, 2, 3])
        for (const reader of [now, behind, all]) {
          assert.deepStrictEqual(yield* step(reader), stepOf([]))
          assert.strictEqual(reader.place(), 3)
        }
      }).pipe(Effect.provide(feed))
    })
  )

  test(
    "gives as many changes as are asked for, and says whether there may be more",
    Effect.gen(function* () {
      yield* fiveChanges
      const look = Effect.gen(function* () {
        const reader = yield* readerOf(0)
        assert.deepStrictEqual(yield* step(reader, 2), stepOf([1, 2], true))
        assert.deepStrictEqual(yield* step(reader, 2), stepOf([3, 4], true))
        assert.deepStrictEqual(yield* step(reader, 2), stepOf([5]))
        const [change] = (yield* (yield* readerOf(4)).read(1)).changes
        const [kept] = (yield* (yield* OrdersRepo).changes({}, 4, 1)).found
        assert.deepInclude({ ...change }, { ...kept })
      })
      // From the history, and from what is at hand.
      yield* Effect.provide(look, feed)
    })
  )

  test(
    "goes over from the history to what is at hand without a gap, while commits go on",
    Effect.gen(function* () {
      const fromNow = yield* readerOf()
      yield* complete(1, 1000)
      yield* complete(1001, 1000)
      yield* complete(2001, 1000)
      const [slow, fast, some] = [yield* readerOf(0), yield* readerOf(9000), yield* readerOf(0, { user_id: "2" })]
      const writing = yield* Effect.fork(
        Effect.forEach(Arr.range(0, 19), (round) =>
          Effect.zipRight(
            commit(
              ...Arr.map(Arr.range(1, 50), (index) => insert(3000 + 50 * round + index, { user_id: 1 + (index % 5) }))
            ),
            Effect.repeatN(turn, round % 3)
          )
        )
      )
      const [slowly, fastly, those] = [Arr.empty<number>(), Arr.empty<number>(), Arr.empty<number>()]
      while (Option.isNone(yield* Fiber.poll(writing))) {
        slowly.push(...(yield* step(slow, 400)).ids)
        fastly.push(...(yield* step(fast, 30)).ids)
        those.push(...(yield* step(some, 30)).ids)
        yield* turn
      }
      yield* Fiber.join(writing)
      slowly.push(...(yield* rest(slow, 700)))
      fastly.push(...(yield* rest(fast, 700)))
      those.push(...(yield* rest(some, 700)))
      assert.deepStrictEqual(slowly, Arr.range(1, 10_000))
      assert.deepStrictEqual(fastly, Arr.range(9001, 10_000))
      assert.deepStrictEqual(
        those,
        Arr.range(9001, 10_000).filter((id) => id % 5 === 1)
      )
      assert.deepStrictEqual(yield* rest(fromNow, 1000), Arr.range(1, 10_000))
    }).pipe(Effect.provide(feed)),
    { timeout: longTest }
  )

  test(
    "moves on over what does not fit, a thousand changes at a step",
    Effect.gen(function* () {
      yield* write(...Arr.map(Arr.range(1, 2500), (id) => insert(id, { user_id: id === 2400 ? 2 : 1 })))
      const look = Effect.gen(function* () {
        const reader = yield* readerOf(0, { user_id: "2" })
        const steps = [yield* step(reader, 5), yield* step(reader, 5), yield* step(reader, 5)]
        assert.deepStrictEqual(steps.slice(0, 2), [stepOf([], true), stepOf([], true)])
        assert.deepStrictEqual(steps[2]?.ids, [2400])
        assert.deepStrictEqual(yield* step(reader), stepOf([]))
        const none = yield* readerOf(0, { order_id: "none" })
        assert.deepStrictEqual(yield* rest(none, 5), [])
        for (const { place } of [reader, none]) assert.strictEqual(place(), 2500)
      })
      yield* Effect.provide(look, feed)
      // At hand, beside the history.
      yield* Effect.gen(function* () {
        const [first, ...others] = (yield* (yield* OrdersRepo).changes({}, 0, 2500, 2500)).found
        assert(first !== undefined)
        const [commited, ...more] = Arr.map([first, ...others], (change) => ({ ...change, elapsedMillis: 0 }))
        assert(commited !== undefined)
        const { totals } = yield* OrdersRepo
        yield* (yield* OrderEvents).publish({ changes: [commited, ...more], totals: yield* totals })
        yield* look
      }).pipe(Effect.provide(feed))
    }),
    { timeout: longTest }
  )

  test(
    "waits for a change that fits, and for no other",
    Effect.gen(function* () {
      const reader = yield* readerOf(undefined, { user_id: "2", status: "Cancelled" })
      const waiting = yield* Effect.fork(reader.wait)
      yield* turns
      yield* commit(insert(1), insert(2, { user_id: 2 }), cancel(1))
      yield* turns
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
      // What passed need not be looked at again.
      assert.strictEqual(reader.place(), 3)
      yield* commit(insert(3), cancel(2), insert(4))
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(yield* step(reader), stepOf([5]))
      assert.strictEqual(reader.place(), 6)

      // What came since it read the last time.
      yield* commit(insert(5))
      yield* reader.wait
      assert.deepStrictEqual(yield* step(reader), stepOf([]))

      const gone = yield* Effect.fork(reader.wait)
      yield* turns
      yield* Fiber.interrupt(gone)
      yield* commit(insert(6))
      assert.strictEqual(reader.place(), 7)
    }).pipe(Effect.provide(feed))
  )

  test(
    "misses no change of a commit that was not published, while it waits",
    Effect.gen(function* () {
      const reader = yield* readerOf(undefined, { user_id: "2" })
      const waiting = yield* Effect.fork(reader.wait)
      yield* turns
      yield* write(insert(1, { user_id: 2 }))
      yield* commit(insert(2))
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(yield* step(reader), stepOf([1]))
    }).pipe(Effect.provide(feed))
  )

  test(
    "sends a reader on to the oldest change there is, if some behind its place are gone",
    Effect.gen(function* () {
      yield* fiveChanges
      yield* write(forget(4))
      yield* Effect.gen(function* () {
        for (const after of [0, 1, 2, 6, 99]) {
          for (const filter of [{}, { order_id: "5" }, { user_id: "5" }]) {
            const reader = yield* readerOf(after, filter)
            assert.deepStrictEqual(yield* step(reader), resetTo(4))
            assert.strictEqual(reader.place(), 3)
            assert.deepStrictEqual(yield* rest(reader, 10), "order_id" in filter || "user_id" in filter ? [5] : [4, 5])
          }
        }
        for (const after of [3, 4, 5]) {
          assert.deepStrictEqual(
            yield* rest(yield* readerOf(after), 1),
            Arr.range(4, 5).filter((id) => id > after)
          )
        }
      }).pipe(Effect.provide(feed))
      yield* TestClock.setTime(10)
      yield* write(cancel(2))
      yield* TestClock.setTime(20)
      yield* write(Command.Prune({ before: at(20), asOf: at(20), limit: 9 }))
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(yield* step(yield* readerOf(4)), resetTo(7))
        assert.deepStrictEqual(yield* step(yield* readerOf(6)), stepOf([]))
      }).pipe(Effect.provide(feed))
    })
  )

  test(
    "sends on a reader that the removal of old changes has overtaken",
    Effect.gen(function* () {
      yield* fiveChanges
      yield* Effect.gen(function* () {
        const reader = yield* readerOf(0)
        assert.deepStrictEqual(yield* step(reader, 2), stepOf([1, 2], true))
        yield* write(forget(5))
        assert.deepStrictEqual(yield* step(reader, 2), resetTo(5))
        yield* commit(insert(6))
        assert.deepStrictEqual(yield* rest(reader, 2), [5, 6])
      }).pipe(Effect.provide(feed))
      // In the middle of a step.
      yield* Effect.gen(function* () {
        const reader = yield* readerOf(4)
        assert.deepStrictEqual(yield* step(reader), resetTo(7))
        assert.deepStrictEqual(yield* step(reader), stepOf([]))
      }).pipe(
        Effect.provide(
          Layer.provide(
            feed,
            altered((repo) => ({
              changes: (...search) => Effect.zipLeft(repo.changes(...search), repo.write([forget(99)]))
            }))
          )
        )
      )
    })
  )

  test(
    "has the changes from now on where none is kept",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2))
      yield* Effect.gen(function* () {
        const [now, all] = [yield* readerOf(), yield* readerOf(0)]
        assert.deepStrictEqual(yield* step(all), resetTo(3))
        assert.deepStrictEqual(yield* step(all), stepOf([]))
        yield* commit(insert(3), insert(4))
        for (const reader of [now, all]) assert.deepStrictEqual(yield* step(reader), stepOf([3, 4]))
      }).pipe(Effect.provide(feed))
    }),
    { history: Option.none() }
  )

  test(
    "goes on with what comes next where no history is kept and the last change has not come here yet",
    Effect.gen(function* () {
      yield* write(insert(1), insert(2))
      yield* Effect.gen(function* () {
        const { commit: late } = yield* write(insert(3))
        const reader = yield* readerOf(0)
        assert.deepStrictEqual(yield* step(reader), resetTo(3))
        assert.deepStrictEqual(yield* step(reader), stepOf([]))
        const events = yield* OrderEvents
        yield* events.publish(Option.getOrThrow(late))
        assert.deepStrictEqual(yield* step(reader), stepOf([3]))
      }).pipe(Effect.provide(feed))
    }),
    { history: Option.none() }
  )

  test(
    "fails with the storage, and stays where it was",
    Effect.gen(function* () {
      yield* fiveChanges
      let isDown = false
      yield* Effect.gen(function* () {
        const reader = yield* readerOf(0)
        yield* step(reader, 2)
        isDown = true
        assert.strictEqual((yield* Effect.flip(reader.read(2)))._tag, "StorageUnavailable")
        assert.strictEqual(reader.place(), 2)
        isDown = false
        assert.deepStrictEqual(yield* rest(reader, 2), [3, 4, 5])
      }).pipe(
        Effect.provide(
          Layer.provide(
            feed,
            altered((repo) => ({
              changes: (...search) =>
                Effect.suspend(() => (isDown ? Effect.fail(new StorageUnavailable()) : repo.changes(...search)))
            }))
          )
        )
      )
    })
  )
})
