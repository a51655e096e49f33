import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Caller } from "../Caller.ts"
import { at, each, textAt } from "../Caller.ts"
import { expectStatus, failing, held, hold, isStatus, later, order, type Subject } from "../Subject.ts"

const idsBy = ({ get }: Caller, query: string) =>
  Effect.map(get(`/api/orders${query}`), (answer) => {
    expectStatus(200)(answer)
    return each(answer, "orders", "order_id")
  })

/** All pages of a listing, one after the other. */
const pagesBy = (caller: Caller, query: string) =>
  Effect.gen(function* () {
    const pages: Array<ReadonlyArray<unknown>> = []
    let cursor: unknown = ""
    while (cursor !== undefined) {
      const answer = yield* caller.get(`/api/orders?${query}${cursor === "" ? "" : `&cursor=${cursor}`}`)
      pages.push(each(answer, "orders", "order_id"))
      cursor = at(answer, "next_cursor")
    }
    return pages
  })

const users = ["u", "U", "u-", "1"]

export const list: Subject = {
  title: "a list of orders",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { get, post } = caller
      assert.deepStrictEqual(yield* idsBy(caller, ""), [])
      yield* hold(caller)
      for (let id = 1; id <= 12; id++) {
        yield* later
        expectStatus(202)(yield* post("/api/order", order(id, { user_id: users[id % users.length] })))
      }
      for (const id of [3, 4, 8]) expectStatus(200)(yield* post(`/api/order/${id}/cancel`))

      const all = [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, "hold-2", "hold-1"]
      assert.deepStrictEqual(yield* idsBy(caller, ""), all)
      for (const limit of [1, 4, 5, 7, 13, 14, 15]) {
        const pages = yield* pagesBy(caller, `limit=${limit}`)
        assert.deepStrictEqual(pages.flat(), all)
        assert.lengthOf(pages, Math.ceil(14 / limit))
      }
      for (const [query, ids] of [
        ["status=Processing", ["hold-2", "hold-1"]],
        ["status=Cancelled", [8, 4, 3]],
        ["status=Pending", [12, 11, 10, 9, 7, 6, 5, 2, 1]],
        ["status=Completed", []],
        ["status=Failed", []],
        ["error_code=simulated", []],
        ["user_id=u", [12, 8, 4]],
        ["user_id=U", [9, 5, 1]],
        ["user_id=u-", [10, 6, 2]],
        ["user_id=1", [11, 7, 3, "hold-2", "hold-1"]],
        ["user_id=1&status=Cancelled", [3]],
        ["user_id=u&status=Processing", []],
        ["user_id=nobody", []]
      ] as const) {
        for (const limit of [1, 2, 50]) {
          const pages = yield* pagesBy(caller, `${query}&limit=${limit}`)
          assert.deepStrictEqual(pages.flat(), [...ids], query)
        }
      }

      const accepted = Effect.fnUntraced(function* (id: number) {
        return textAt(yield* get(`/api/order/${id}`), "accepted_at")
      })
      const [third, ninth] = [yield* accepted(3), yield* accepted(9)]
      for (const [query, ids] of [
        [`accepted_after=${third}`, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]],
        [`accepted_before=${third}`, [2, 1, "hold-2", "hold-1"]],
        [`accepted_after=${third}&accepted_before=${ninth}`, [8, 7, 6, 5, 4, 3]],
        [`accepted_after=${third}&accepted_before=${ninth}&user_id=u`, [8, 4]],
        [`accepted_after=${third}&accepted_before=${ninth}&status=Cancelled`, [8, 4, 3]],
        [`accepted_after=${ninth}&accepted_before=${third}`, []],
        ["accepted_after=2999-01-01", []],
        ["accepted_before=2000-01-01T00:00:00%2B02:00", []],
        ["accepted_before=2999-01-01T00:00:00Z&accepted_after=2000-01-01&status=Cancelled", [8, 4, 3]]
      ] as const) {
        for (const limit of [2, 50]) {
          assert.deepStrictEqual((yield* pagesBy(caller, `${query}&limit=${limit}`)).flat(), [...ids], query)
        }
      }
      // A page goes on where it was, whatever comes meanwhile.
      const first = yield* get("/api/orders?limit=3")
      expectStatus(202)(yield* post("/api/order", order(13)))
      assert.deepStrictEqual(yield* idsBy(caller, `?limit=3&cursor=${textAt(first, "next_cursor")}`), [9, 8, 7])

      for (const query of [
        "limit=0",
        "limit=501",
        "limit=1.5",
        "limit=",
        "status=pending",
        "status=Done",
        "user_id=",
        "user_id=%00",
        "user_id=a%20",
        "error_code=",
        `error_code=${"x".repeat(129)}`,
        "accepted_after=yesterday",
        "accepted_before=2027-02-30",
        "accepted_before=2027-01-01T00:00:00",
        "cursor=x",
        "cursor=",
        "cursor=MA",
        "cursor=LTE",
        "since=1",
        "limit=1&limit=2",
        "limit=0&status=x&user_id=%21"
      ]) {
        expectStatus(422)(yield* get(`/api/orders?${query}`))
      }
      for (const query of ["error_code=%00", "error_code=%F0%9F%8E%84", `error_code=${"%D0%96".repeat(128)}`]) {
        assert.deepStrictEqual(yield* idsBy(caller, `?${query}`), [])
      }
    })
}

export const largePages: Subject = {
  title: "a page of large orders",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      yield* hold(caller)
      const item_ids = Array.from({ length: 900 }, (_, index) => String(index).padStart(64, "i"))
      const orders = Array.from({ length: 40 }, (_, index) => order(index + 1, { user_id: "large", item_ids }))
      expectStatus(200)(yield* caller.post("/api/orders", orders))
      const pages = yield* pagesBy(caller, "user_id=large&limit=500")
      assert.deepStrictEqual(
        pages.flat(),
        Array.from({ length: 40 }, (_, index) => 40 - index)
      )
      assert.deepStrictEqual(
        pages.map(({ length }) => length),
        [17, 17, 6]
      )
    })
}

export const failedLists: Subject = {
  title: "a list of failed orders",
  settings: failing,
  run: (caller) =>
    Effect.gen(function* () {
      const { getUntil, post } = caller
      for (let id = 1; id <= 5; id++) {
        yield* post("/api/order", order(id, { user_id: id % 2 === 0 ? "even" : "odd" }))
        yield* getUntil(`/api/order/${id}`, isStatus("Failed"))
      }
      for (const [query, ids] of [
        ["error_code=simulated", [5, 4, 3, 2, 1]],
        ["error_code=Simulated", []],
        ["error_code=simulated%20", []],
        ["error_code=simulate", []],
        ["error_code=simulated&user_id=odd", [5, 3, 1]],
        ["error_code=simulated&status=Failed&user_id=even", [4, 2]],
        ["error_code=simulated&status=Completed", []],
        ["status=Failed", [5, 4, 3, 2, 1]]
      ] as const) {
        for (const limit of [1, 2, 50]) {
          assert.deepStrictEqual((yield* pagesBy(caller, `${query}&limit=${limit}`)).flat(), [...ids], query)
        }
      }
    })
}
