import { assert } from "@effect/vitest"
import { Array as Arr, Effect, Option, TestClock } from "effect"
import {
  at,
  changes,
  claim,
  find,
  insert,
  postponed,
  rebase,
  rebased,
  record,
  recover,
  release,
  released,
  releaseOne,
  results,
  same,
  window,
  write
} from "../../support/RepoKit.ts"
import { type RepoLayer, testOf } from "./Test.ts"

export const line = (layer: RepoLayer) => {
  const test = testOf(layer)

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
}
