import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { AppConfig } from "../../src/AppConfig.ts"
import { transitions } from "../../src/order/Order.ts"
import { RowKey } from "../../src/order/OrderChange.ts"
import type { Commit } from "../../src/store/Command.ts"
import { type Command, Result } from "../../src/store/Command.ts"
import { change, noTotals, numbered } from "../../src/store/CommandGroups.ts"
import { GroupCommit } from "../../src/store/GroupCommit.ts"
import type { Job } from "../../src/store/Job.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { makeJobLane } from "../../src/work/JobLane.ts"
import { until } from "../support/Until.ts"

/** A lane of so many workers, and an engine with jobs for all that is asked for. */
const make = (workers: number) =>
  Effect.gen(function* () {
    const asked: Array<number> = []
    const putBack: Array<number> = []
    const listeners: Array<(commit: Commit) => void> = []
    let given = 0
    let lastChange = 0

    const write = (command: Command) => {
      if (command._tag === "PutBack") putBack.push(...command.jobs.map(({ key }) => key))
      return Effect.succeed(Result.Touched())
    }
    const dependencies = Layer.mergeAll(
      AppConfig.layerTest({}),
      Layer.mock(GroupCommit, { write: (command) => write(command) as never }),
      Layer.mock(OrderEvents, {
        listen: (listener) => Effect.sync(() => void listeners.push(listener)),
        follow: () => Effect.void
      })
    )
    const fetch = (_: unknown, count: number) =>
      Effect.sync(() => {
        asked.push(count)
        return Array.from({ length: count }, (): Job => {
          given += 1
          return { key: RowKey(given), round: 1, run: 0, lane: "open", delivery: 0 }
        })
      })
    const lane = yield* Effect.provide(
      makeJobLane("open", workers, { fetch }, () => {}),
      dependencies
    )
    const publish = (key: RowKey, by: typeof transitions.claim | typeof transitions.complete) => {
      const row = { seq: key, order_id: String(key), user_id: "1", round: 1, run: 1, attempts: 1 }
      lastChange += 1
      const commit = { changes: numbered([change(row, by.from[0], by, 0)], lastChange), totals: noTotals }
      for (const listener of listeners) listener(commit)
    }
    return {
      ...lane,
      asked,
      putBack,
      /** Takes an order and claims it. */
      begin: lane.take(({ key }) =>
        Effect.as(
          Effect.sync(() => publish(key, transitions.claim)),
          key
        )
      ),
      end: (key: RowKey) => publish(key, transitions.complete)
    }
  })

describe("A lane of jobs", () => {
  it.scopedLive("has as many orders as workers, while none of their runs ends", () =>
    Effect.gen(function* () {
      const { asked, begin, jobs } = yield* make(3)
      for (let order = 0; order < 3; order++) yield* begin
      yield* Effect.sleep("700 millis")
      assert.deepStrictEqual(asked, [3])
      assert.lengthOf(jobs(), 3)
    })
  )

  it.scopedLive("fetches ahead at the pace at which runs end", () =>
    Effect.gen(function* () {
      const { asked, begin, end } = yield* make(3)
      for (let order = 0; order < 3; order++) yield* Effect.map(begin, end)
      yield* until(() => asked.reduce((sum, count) => sum + count, 0) > 3)
      assert.isAbove(asked[1] ?? 0, 3)
    })
  )

  it.scopedLive("gives back what a worker could not begin, and asks for one order only until it can", () =>
    Effect.gen(function* () {
      const { asked, begin, putBack, take } = yield* make(3)
      for (let order = 0; order < 3; order++) yield* take(() => Effect.void)
      yield* until(() => putBack.length >= 3)
      yield* until(() => asked.length >= 2)
      assert.strictEqual(asked[1], 1)
      yield* begin
      yield* until(() => (asked.at(-1) ?? 0) > 1)
    })
  )

  it.scopedLive("gives back at its close what no worker has taken, and hands out nothing more", () =>
    Effect.gen(function* () {
      const { asked, begin, close, jobs, putBack } = yield* make(3)
      const key = yield* begin
      yield* until(() => jobs().length === 3)
      yield* close
      yield* until(() => putBack.length === 2)
      assert.notInclude(putBack, key)
      assert.deepStrictEqual(
        jobs().map(({ key }) => key),
        [key]
      )
      assert.deepStrictEqual(asked, [3])
    })
  )

  it.scopedLive("keeps no job of a run whose end was not recorded, once its worker is done with it", () =>
    Effect.gen(function* () {
      const { begin, jobs, letGo } = yield* make(1)
      const key = yield* begin
      assert.lengthOf(jobs(), 1)
      letGo({ key, run: 2 })
      assert.lengthOf(jobs(), 1)
      letGo({ key, run: 1 })
      assert.lengthOf(jobs(), 0)
    })
  )
})
