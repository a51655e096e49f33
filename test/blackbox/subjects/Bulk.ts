import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { at, each, json, lines } from "../Caller.ts"
import { expectStatus, held, hold, order, type Subject } from "../Subject.ts"

const line = (id: unknown, rest?: object) => JSON.stringify(order(id, rest))
const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels)

const mixedLines = [
  "",
  `${line(100)}\r`,
  "   ",
  line(101),
  '{"order_id": 102,',
  line(103, { metadata: { text: "x".repeat(65_536) } }),
  line(104, { metadata: {} }).replace("{}", `{"deep":${nested(63)}}`),
  line(105, { metadata: {} }).replace("{}", `{"deep":${nested(62)}}`),
  "[]",
  "null",
  `${line(107)} ${line(108)}`,
  line(109, { item_ids: [] }),
  line(101),
  line(101, { user_id: 2 }),
  `\t${line("Ж")}`,
  `\ufeff${line(110)}  \r`,
  line(111, { metadata: { nul: "\u0000", lone: "\ud800", emoji: "🎄" } }),
  ""
]

export const bulk: Subject = {
  title: "orders that are submitted together",
  settings: held,
  run: (caller) =>
    Effect.gen(function* () {
      const { get, post, send } = caller
      yield* hold(caller)
      const sendLines = (texts: ReadonlyArray<string>) =>
        send({ method: "POST", path: "/api/orders", headers: lines, body: texts.join("\n") })

      const mixed = yield* sendLines(mixedLines)
      expectStatus(200)(mixed)
      assert.deepStrictEqual(each(mixed, "results", "result"), [
        "accepted",
        "accepted",
        ...Array.from({ length: 3 }, () => "invalid"),
        "accepted",
        ...Array.from({ length: 4 }, () => "invalid"),
        "replayed",
        "conflict",
        "invalid",
        "accepted",
        "accepted"
      ])
      const twins = yield* post("/api/orders", [
        order("twin"),
        order("twin", { total_amount: "250.70" }),
        order("Twin"),
        order("twin", { total_amount: 250.71 }),
        order("twin"),
        order("hold-1"),
        order(100, { currency: "EUR" }),
        order(2),
        order("2"),
        order("02"),
        order(0),
        null
      ])
      assert.deepStrictEqual(each(twins, "results", "result"), [
        "accepted",
        "replayed",
        "accepted",
        "conflict",
        "replayed",
        "replayed",
        "conflict",
        "accepted",
        "replayed",
        "accepted",
        "invalid",
        "invalid"
      ])
      assert.strictEqual(at(twins, "results", 5, "status"), "Processing")

      const many = Array.from({ length: 1000 }, (_, index) =>
        order(`many-${index}`, { user_id: `user-${index % 7}`, metadata: { index, text: "ж\u0000\ud800" } })
      )
      const first = yield* post("/api/orders", many)
      assert.deepStrictEqual([at(first, "accepted"), at(first, "invalid")], [1000, 0])
      const again = yield* post("/api/orders", many)
      assert.strictEqual(at(again, "replayed"), 1000)
      const halfKnown = yield* post(
        "/api/orders",
        many.map((one, index) => (index % 2 === 0 ? one : { ...one, total_amount: 1 }))
      )
      assert.deepStrictEqual([at(halfKnown, "replayed"), at(halfKnown, "conflict")], [500, 500])

      // Pages so small that they end by their limit, not because a second is over.
      const pages = "/api/orders?limit=50&status=Pending"
      const seen: Array<unknown> = []
      let path = pages
      while (path !== "") {
        const page = yield* get(path)
        seen.push(...each(page, "orders", "order_id"))
        const cursor = at(page, "next_cursor")
        path = typeof cursor === "string" ? `${pages}&cursor=${cursor}` : ""
      }
      assert.deepStrictEqual(seen, [
        ...Array.from({ length: 1000 }, (_, index) => `many-${999 - index}`),
        ...["02", 2, "Twin", "twin", 111, 110, 105, 101, 100]
      ])
      yield* get("/api/changes?after=1006&limit=20")

      expectStatus(200)(yield* post("/api/orders", []))
      expectStatus(200)(yield* sendLines(["", ""]))
      for (const body of [order(300), null, "orders", { orders: [order(300)] }]) {
        expectStatus(422)(yield* post("/api/orders", body))
      }
      for (const body of ["", `[${line(300)}`, `[${line(300)},]`, `${line(300)}\n{}`]) {
        expectStatus(400)(yield* send({ method: "POST", path: "/api/orders", headers: json, body }))
      }
      const tooMany = Array.from({ length: 10_001 }, () => 0)
      expectStatus(422)(yield* post("/api/orders", tooMany))
      expectStatus(415)(
        yield* send({ method: "POST", path: "/api/orders", headers: { "content-type": "text/csv" }, body: "1" })
      )
      const large = `[${line(301)}]`.padEnd(8 * 1024 * 1024 + 1)
      expectStatus(413)(yield* send({ method: "POST", path: "/api/orders", headers: json, body: large }))
      expectStatus(404)(yield* get("/api/order/300"))
    })
}

/** Room for three orders that wait. */
export const backlog: Subject = {
  title: "orders beyond the backlog",
  settings: { ...held, environment: { ...held.environment, MAX_PENDING: "3" } },
  run: (caller) =>
    Effect.gen(function* () {
      const { ask, get, post } = caller
      yield* hold(caller)
      expectStatus(202)(yield* post("/api/order", order(1)))
      const mixed = yield* post("/api/orders", [
        order(2),
        order(2),
        order(1, { user_id: 2 }),
        order(3),
        order(4),
        order(2),
        order(0),
        order(5),
        order("hold-1")
      ])
      assert.deepStrictEqual(each(mixed, "results", "result"), [
        "accepted",
        "replayed",
        "conflict",
        "accepted",
        "refused",
        "replayed",
        "invalid",
        "refused",
        "replayed"
      ])
      const refused = yield* post("/api/order", order(6))
      expectStatus(503)(refused)
      assert.strictEqual(refused.headers["retry-after"], "10")
      expectStatus(200)(yield* post("/api/order", order(1)))
      expectStatus(409)(yield* post("/api/order", order(1, { user_id: 2 })))
      for (const id of [4, 5, 6]) expectStatus(404)(yield* get(`/api/order/${id}`))
      expectStatus(200)(yield* post("/api/order/3/cancel"))
      expectStatus(202)(yield* post("/api/order", order(6)))
      // A retry is not refused.
      expectStatus(200)(yield* post("/api/order/3/retry"))
      // Not written down: it follows from how fast the backlog goes down, and one was cancelled.
      const body = JSON.stringify(order(7))
      expectStatus(503)(yield* ask({ method: "POST", path: "/api/order", headers: json, body }))
      assert.strictEqual(at(yield* get("/api/metrics"), "orders_pending"), 4)
    })
}
