import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { at, each, json } from "../Caller.ts"
import {
  expectStatus,
  failing,
  hasSeries,
  held,
  hold,
  isStatus,
  later,
  order,
  quick,
  type Subject
} from "../Subject.ts"

export const cancel: Subject = {
  title: "an order that is cancelled and retried",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { get, getUntil, post } = caller
      yield* hold(caller)
      for (const id of ["first", "second"]) {
        yield* post("/api/order", order(id))
        for (let round = 0; round < 3; round++) {
          yield* later
          assert.strictEqual(at(yield* post(`/api/order/${id}/cancel`), "status"), "Cancelled")
          assert.strictEqual(at(yield* post(`/api/order/${id}/cancel`), "status"), "Cancelled")
          assert.strictEqual(at(yield* get(`/api/order/${id}`), "status"), "Cancelled")
          yield* later
          assert.strictEqual(at(yield* post(`/api/order/${id}/retry`), "status"), "Pending")
          expectStatus(409)(yield* post(`/api/order/${id}/retry`))
        }
      }
      expectStatus(409)(yield* post("/api/order/hold-1/retry"))
      // The place of one that is cancelled while it is Processing is taken by the next in line, be it retried or new.
      assert.strictEqual(at(yield* post("/api/order/hold-1/cancel"), "status"), "Cancelled")
      yield* getUntil("/api/order/first", isStatus("Processing"))
      expectStatus(409)(yield* post("/api/order/first/retry"))
      yield* later
      assert.strictEqual(at(yield* post("/api/order/first/cancel"), "status"), "Cancelled")
      yield* getUntil("/api/order/second", isStatus("Processing"))
      for (const id of ["hold-1", "first", "second"]) yield* get(`/api/order/${id}/history`)

      for (const what of ["cancel", "retry"]) {
        expectStatus(404)(yield* post(`/api/order/nobody/${what}`))
        expectStatus(404)(yield* post(`/api/order/FIRST/${what}`))
        expectStatus(422)(yield* post(`/api/order/first%20/${what}`))
        expectStatus(422)(yield* post(`/api/order/%00/${what}`))
        expectStatus(405)(yield* get(`/api/order/first/${what}`))
      }
    })
}

export const completed: Subject = {
  title: "an order that is completed",
  settings: quick,
  run: (caller) =>
    Effect.gen(function* () {
      const { get, getUntil, post } = caller
      for (const id of [1, "x".repeat(64), "жёлтый".length]) {
        expectStatus(202)(yield* post("/api/order", order(id, { currency: "USD", metadata: { a: "\u0000" } })))
        const done = yield* get(`/api/order/${id}?wait=30`)
        assert.strictEqual(at(done, "status"), "Completed")
        assert.deepStrictEqual([at(done, "attempts"), at(done, "last_error"), at(done, "result")], [1, null, null])
        assert.strictEqual((yield* get(`/api/order/${id}`)).text, done.text)
        assert.strictEqual((yield* get(`/api/order/${id}?wait=0`)).text, done.text)
        assert.strictEqual(
          at(yield* post("/api/order", order(id, { currency: "USD", metadata: { a: "\u0000" } })), "status"),
          "Completed"
        )
        expectStatus(409)(yield* post("/api/order", order(id)))
        for (const what of ["cancel", "retry"]) expectStatus(409)(yield* post(`/api/order/${id}/${what}`))
        yield* get(`/api/order/${id}/history`)
      }
      const many = Array.from({ length: 200 }, (_, index) => order(`bulk-${index}`))
      assert.strictEqual(at(yield* post("/api/orders", many), "accepted"), 200)
      yield* getUntil("/api/metrics", (answer) => at(answer, "orders_completed") === 203)
      const done = yield* get("/api/orders?status=Completed&limit=50")
      assert.lengthOf(each(done, "orders"), 50)
      assert.strictEqual(at(yield* post("/api/orders", many), "replayed"), 200)
      for (const wait of ["", "-1", "30.1", "1e400", "NaN", "10s", "1&wait=2", "%00"]) {
        expectStatus(422)(yield* get(`/api/order/1?wait=${wait}`))
      }
      expectStatus(422)(yield* get("/api/order/1?waits=1"))
      expectStatus(404)(yield* get("/api/order/nobody?wait=30"))
    })
}

export const waiting: Subject = {
  title: "an order that is waited for",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { ask, get, post } = caller
      yield* hold(caller)
      yield* post("/api/order", order(1))
      assert.strictEqual(at(yield* get("/api/order/1?wait=0"), "status"), "Pending")
      assert.strictEqual(at(yield* get("/api/order/hold-1?wait=0.05"), "status"), "Processing")
      const answers = yield* Effect.all(
        [
          ask({ path: "/api/order/1?wait=30" }),
          ask({ path: "/api/order/hold-1?wait=30" }),
          ask({ path: "/api/changes?after=5&wait=30&status=Cancelled" }),
          Effect.zipRight(
            Effect.sleep("200 millis"),
            Effect.zipRight(post("/api/order/1/cancel"), post("/api/order/hold-1/cancel"))
          )
        ],
        { concurrency: "unbounded" }
      ).pipe(Effect.timeout("25 seconds"), Effect.orDie)
      for (const answer of answers.slice(0, 2)) assert.strictEqual(at(answer, "status"), "Cancelled")
      assert.strictEqual(at(answers[2], "changes", 0, "to"), "Cancelled")
    })
}

export const failures: Subject = {
  title: "orders that fail",
  settings: failing,
  run: (caller) =>
    Effect.gen(function* () {
      const { get, getUntil, post, send } = caller
      yield* get("/api/failures")
      const failed = (id: number | string) => getUntil(`/api/order/${id}`, isStatus("Failed"))
      for (let id = 1; id <= 7; id++) {
        expectStatus(202)(yield* post("/api/order", order(id, { user_id: id % 2 === 0 ? "even" : "odd" })))
        const answer = yield* failed(id)
        assert.deepStrictEqual(
          [at(answer, "attempts"), at(answer, "last_error", "code"), at(answer, "last_error", "attempt")],
          [2, "simulated", 2]
        )
        assert.strictEqual(at(answer, "last_error", "at"), at(answer, "finished_at"))
        yield* get(`/api/order/${id}/history`)
        yield* later
      }
      const groups = yield* get("/api/failures")
      assert.deepStrictEqual(at(groups, "failures", 0, "order_ids"), [7, 6, 5, 4, 3])
      assert.strictEqual(at(groups, "failures", 0, "first_at"), at(yield* get("/api/order/1"), "finished_at"))
      assert.strictEqual(at(groups, "failures", 0, "last_at"), at(yield* get("/api/order/7"), "finished_at"))

      const retry = (filter: object, ids: ReadonlyArray<number>) =>
        Effect.gen(function* () {
          yield* later
          const answer = yield* post("/api/orders/retry", filter)
          assert.strictEqual(answer.text, `{"retried":${ids.length}}`)
          for (const id of ids) {
            const again = yield* failed(id)
            assert.strictEqual(at(again, "attempts"), 2)
          }
        })
      yield* retry({ error_code: "Simulated" }, [])
      yield* retry({ user_id: "nobody" }, [])
      yield* retry({ status: "Cancelled" }, [])
      yield* retry({ user_id: "even" }, [2, 4, 6])
      const third = String(at(yield* get("/api/order/3"), "accepted_at"))
      yield* retry({ accepted_before: "2000-01-01" }, [])
      yield* retry({ accepted_after: "2999-01-01T00:00:00Z" }, [])
      // Sent without being written down, for the time in it.
      const late = yield* caller.ask({
        method: "POST",
        path: "/api/orders/retry",
        headers: json,
        body: JSON.stringify({ accepted_before: third })
      })
      assert.strictEqual(late.text, '{"retried":2}')
      for (const id of [1, 2]) yield* failed(id)
      yield* retry({ error_code: "simulated", status: "Failed" }, [1, 2, 3, 4, 5, 6, 7])
      yield* later
      expectStatus(200)(yield* post("/api/order/7/retry"))
      yield* failed(7)
      for (const id of [1, 2, 7]) {
        const { changes } = JSON.parse((yield* caller.ask({ path: `/api/order/${id}/history?limit=500` })).text)
        assert.deepStrictEqual(
          changes.slice(-5).map(({ reason }: { readonly reason: string }) => reason),
          ["retried", "claimed", "retry_scheduled", "claimed", "failed"]
        )
      }
      yield* get("/api/failures")
      const answer = yield* get("/api/metrics")
      assert.deepStrictEqual([at(answer, "orders_failed"), at(answer, "average_processing_time")], [7, 0])
      yield* getUntil("/metrics", hasSeries('orders_attempts_total{outcome="failed"} 20'))

      for (const filter of [
        null,
        [],
        { status: "Completed" },
        { status: "failed" },
        { user_id: "" },
        { error_code: "" },
        { error_code: "x".repeat(129) },
        { error_code: 1 },
        { accepted_after: "soon" },
        { limit: 1 }
      ]) {
        expectStatus(422)(yield* post("/api/orders/retry", filter))
      }
      for (const body of ["", "{", '{"status":"Failed"'])
        expectStatus(400)(yield* send({ method: "POST", path: "/api/orders/retry", headers: json, body }))
      expectStatus(200)(yield* post("/api/orders/retry", { error_code: "\u0000\ud800 🎄" }))
      expectStatus(405)(yield* get("/api/orders/retry"))
      expectStatus(405)(yield* post("/api/failures", {}))
    })
}
