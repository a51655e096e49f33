import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Caller } from "../Caller.ts"
import { at, each } from "../Caller.ts"
import { expectStatus, held, hold, isStatus, later, order, type Subject } from "../Subject.ts"

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** The ids of the changes, and the place behind them, which must be the ones. */
const expectChanges = ({ get }: Caller, path: string, ids: ReadonlyArray<number>, next?: number) =>
  Effect.gen(function* () {
    const answer = yield* get(path)
    expectStatus(200)(answer)
    assert.deepStrictEqual(each(answer, "changes", "id"), ids, path)
    assert.strictEqual(at(answer, "next"), next === undefined ? undefined : String(next), path)
  })

/** Changes 1 to 4 are of `hold`; then: 5 to 9 of orders 1 to 5, 10 and 11 Cancelled 3 and 4, 12 Pending 3. */
const makeChanges = (caller: Caller) =>
  Effect.gen(function* () {
    yield* hold(caller)
    for (const id of range(1, 5)) {
      yield* caller.post("/api/order", order(id, { user_id: id % 2 === 0 ? "even" : "odd" }))
    }
    yield* caller.post("/api/order/3/cancel")
    yield* caller.post("/api/order/4/cancel")
    yield* later
    yield* caller.post("/api/order/3/retry")
  })

export const changes: Subject = {
  title: "the changes of orders",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { ask, get, post } = caller
      yield* expectChanges(caller, "/api/changes", [], 0)
      yield* makeChanges(caller)
      yield* expectChanges(caller, "/api/changes", range(1, 12), 12)
      yield* expectChanges(caller, "/api/changes?after=0&limit=5", range(1, 5), 5)
      yield* expectChanges(caller, "/api/changes?after=5&limit=5", range(6, 10), 10)
      yield* expectChanges(caller, "/api/changes?after=10&limit=5", [11, 12], 12)
      yield* expectChanges(caller, "/api/changes?after=12", [], 12)
      yield* expectChanges(caller, "/api/changes?after=12&wait=0", [], 12)
      yield* expectChanges(caller, "/api/changes?after=12&wait=0.05&status=Completed", [], 12)
      yield* expectChanges(caller, "/api/changes?user_id=even", [6, 8, 11], 12)
      yield* expectChanges(caller, "/api/changes?user_id=Even", [], 12)
      yield* expectChanges(caller, "/api/changes?user_id=odd&status=Cancelled", [10], 12)
      yield* expectChanges(caller, "/api/changes?status=Processing", [2, 4], 12)
      yield* expectChanges(caller, "/api/changes?order_id=3&limit=1", [7], 7)
      yield* expectChanges(caller, "/api/changes?order_id=3&after=7", [10, 12], 12)
      yield* expectChanges(caller, "/api/changes?order_id=nobody", [], 12)
      // Ids that are not there yet: all begins anew.
      const reset = yield* get("/api/changes?after=1000")
      assert.deepStrictEqual(at(reset, "reset"), { oldest: 1 })

      const waited = yield* Effect.all(
        [
          ask({ path: "/api/changes?after=12&wait=30&user_id=late" }),
          Effect.zipRight(Effect.sleep("200 millis"), post("/api/order", order(6, { user_id: "late" })))
        ],
        { concurrency: "unbounded" }
      ).pipe(Effect.timeout("25 seconds"), Effect.orDie)
      assert.deepStrictEqual(at(waited[0], "changes", 0, "id"), 13)

      yield* expectChanges(caller, "/api/order/3/history", [7, 10, 12])
      yield* expectChanges(caller, "/api/order/3/history?limit=2", [7, 10], 10)
      yield* expectChanges(caller, "/api/order/3/history?limit=2&after=10", [12])
      yield* expectChanges(caller, "/api/order/3/history?after=12", [])
      yield* expectChanges(caller, "/api/order/3/history?after=9007199254740991", [])
      expectStatus(404)(yield* get("/api/order/nobody/history"))

      for (const query of ["after=-1", "after=x", "after=", "after=1.5", "after=9007199254740993", "limit=0", "x=1"]) {
        expectStatus(422)(yield* get(`/api/order/3/history?${query}`))
        expectStatus(422)(yield* get(`/api/changes?${query}`))
      }
      for (const query of [
        "limit=1001",
        "wait=31",
        "wait=",
        "status=Done",
        "order_id=!",
        "user_id=%00",
        "status=&wait=x"
      ]) {
        expectStatus(422)(yield* get(`/api/changes?${query}`))
      }
      expectStatus(422)(yield* get("/api/order/3/history?limit=501"))
    })
}

export const events: Subject = {
  title: "the events of orders",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { get, getUntil, post, watch } = caller
      yield* makeChanges(caller)
      const opened: ReadonlyArray<
        readonly [query: string, headers: Record<string, string>, missed: ReadonlyArray<number>]
      > = [
        ["?after=0", {}, range(1, 12)],
        ["?after=9", {}, [10, 11, 12]],
        ["", { "last-event-id": "10" }, [11, 12]],
        ["?after=0", { "last-event-id": "11" }, [12]],
        ["?after=11", { "last-event-id": "" }, [12]],
        ["?after=0&order_id=3", {}, [7, 10, 12]],
        ["?after=0&user_id=even&status=Cancelled", {}, [11]]
      ]
      const streams = yield* Effect.forEach(opened, ([query, headers, missed]) =>
        Effect.map(watch(query, headers), (stream) => ({ stream, missed }))
      )
      const now = yield* watch("")
      assert.strictEqual(yield* now.take, "retry: 2000\nid: 12")
      assert.strictEqual(now.headers["content-type"], "text/event-stream")
      for (const { missed, stream } of streams) {
        assert.strictEqual(yield* stream.take, "retry: 2000")
        for (const id of missed) assert.include(yield* stream.take, `event: order\nid: ${id}\ndata: {"id":${id},`)
      }

      yield* post("/api/order", order("new", { user_id: "even" }))
      yield* post("/api/order/hold-1/cancel")
      // Order 1 is the next in line.
      yield* getUntil("/api/order/1", isStatus("Processing"))
      for (const { missed, stream } of [...streams.slice(0, 5), { stream: now, missed: [12] }]) {
        assert.strictEqual(missed.at(-1), 12)
        for (const [id, status] of [
          [13, "Pending"],
          [14, "Cancelled"],
          [15, "Processing"]
        ]) {
          const block = yield* stream.take
          assert.include(block, `\nid: ${id}\n`)
          assert.include(block, `"status":"${status}"`)
        }
      }
      const ahead = yield* watch("", { "last-event-id": "1000" })
      assert.strictEqual(yield* ahead.take, "retry: 2000")
      assert.strictEqual(yield* ahead.take, 'event: reset\nid: 0\ndata: {"oldest":1}')
      assert.include(yield* ahead.take, "\nid: 1\n")

      for (const query of ["status=Done", "order_id=-1", "user_id=", "since=1", "after=-1", "after=x", "limit=1"]) {
        expectStatus(422)(yield* get(`/api/events?${query}`))
      }
      expectStatus(405)(yield* post("/api/events"))
    })
}
