import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, DateTime, Deferred, Effect, Logger, Option } from "effect"
import { StorageUnavailable } from "../../src/order/Order.ts"
import { RowKey } from "../../src/order/OrderChange.ts"
import { makeChangeTail } from "../../src/store/ChangeTail.ts"
import type { Commit, CommittedChange } from "../../src/store/Command.ts"
import { noTotals } from "../../src/store/CommandGroups.ts"
import { until } from "../support/Until.ts"

const accepted = (id: number): CommittedChange => ({
  id,
  key: RowKey(id),
  order_id: String(id),
  user_id: "1",
  from: Option.none(),
  to: "Pending",
  at: DateTime.unsafeMake(0),
  run: 0,
  attempt: 0,
  reason: "accepted",
  error: Option.none(),
  next_attempt_at: Option.none(),
  by: Option.none(),
  elapsedMillis: 0
})

/** A history that others write, and what a tail of it found. */
const make = Effect.gen(function* () {
  const kept: Array<CommittedChange> = []
  const found: Array<number> = []
  const fault = yield* Deferred.make<string>()
  let reads = 0
  let refused = 0
  let isAway = false
  const last = () => kept.at(-1)?.id ?? 0
  const tail = yield* makeChangeTail(
    fault,
    {
      changes: (after, limit) =>
        Effect.sync(() => {
          reads += 1
          return { found: kept.filter(({ id }) => id > after).slice(0, limit), next: Option.none() }
        }),
      lastChange: Effect.suspend(() => {
        if (!isAway) return Effect.succeed(last())
        refused += 1
        return new StorageUnavailable({})
      })
    },
    (changes) => Effect.sync(() => found.push(...changes.map(({ id }) => id)))
  )
  return {
    ...tail,
    fault,
    found,
    reads: () => reads,
    refused: () => refused,
    commit: (...ids: Arr.NonEmptyReadonlyArray<number>): Commit => {
      const changes = Arr.map(ids, accepted)
      kept.push(...changes)
      return { changes, totals: noTotals }
    },
    setBack: () => kept.pop(),
    beAway: (away: boolean) => {
      isAway = away
    }
  }
})

describe("The tail of the history", () => {
  it.scopedLive("passes on own commits without reading them", () =>
    Effect.gen(function* () {
      const { caughtUp, commit, committed, found, reads } = yield* make
      yield* committed(commit(1, 2))
      yield* committed(commit(3))
      yield* caughtUp
      assert.deepStrictEqual(found, [1, 2, 3])
      assert.strictEqual(reads(), 0)
    })
  )

  it.scopedLive("puts own commits behind those of others, each once", () =>
    Effect.gen(function* () {
      const { caughtUp, commit, committed, found } = yield* make
      commit(1)
      const own = commit(2, 3)
      commit(4)
      yield* committed(own)
      yield* caughtUp
      assert.deepStrictEqual(found, [1, 2, 3, 4])
      yield* committed(commit(5))
      yield* caughtUp
      assert.deepStrictEqual(found, [1, 2, 3, 4, 5])
    })
  )

  it.scopedLive("goes on once the database is back", () =>
    Effect.gen(function* () {
      const { beAway, commit, found, refused } = yield* make
      beAway(true)
      commit(1)
      yield* until(() => refused() > 0)
      beAway(false)
      yield* until(() => found.length === 1)
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  )

  it.scopedLive("ends the taking of orders if the history is shorter than it was", () =>
    Effect.gen(function* () {
      const { caughtUp, commit, committed, fault, setBack } = yield* make
      yield* committed(commit(1, 2))
      yield* caughtUp
      setBack()
      assert.include(yield* Deferred.await(fault), "not as its nodes left it")
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  )
})
