import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { at, each } from "../Caller.ts"
import type { Answer } from "../Exchange.ts"
import { isStatus, order, type Settings, type Subject } from "../Subject.ts"

/** Orders are handed to an endpoint that answers what their metadata say: {@link Told}. */
export const shop: Settings = {
  workers: 2,
  environment: { PROCESSOR: "webhook", MAX_ATTEMPTS: "2", RETRY_BASE: "1 millis" }
}

/** What the endpoint is told to answer, as text. */
export interface Told {
  readonly status: number
  readonly body?: string
  /** Instead of a body: a text of so many characters. */
  readonly characters?: number
  readonly retryAfter?: number
}

/** Results as the endpoint writes them. */
const results = [
  "null",
  "0",
  "-0",
  "1.0",
  "1e2",
  "12345678901234567890",
  "0.1",
  "1e400",
  '""',
  '"\\u0000"',
  '"\\ud800 \\udc00\\ud83d"',
  '"🎄 Ёлка"',
  "true",
  "[]",
  "{}",
  '{"a":1,"a":2.0,"A":3,"a ":4}',
  '{"z":1,"10":2,"9":3,"__proto__":4,"\\u0000":5}',
  '{"quotes":"\\" \\\\ \' ` $1 ? \\n"}',
  "not JSON",
  ""
]

const errors = [
  {},
  { code: "out_of_stock", message: "Item 4 is out of stock" },
  { code: "OUT_OF_STOCK", message: "Товара нет 🎄" },
  { code: "out_of_stock ", message: " blanks at the ends " },
  { code: "нет на складе 🎄", message: "\u0000 NUL, \ud800 lone, \u2028 line, \u007f" },
  { code: "a\u0000b\ud800c\nd", message: "line\nline\ttab\\ \" ' `" },
  { code: "x".repeat(128), message: "y".repeat(1024) },
  { code: "x".repeat(129), message: "y".repeat(1025) },
  { code: "ж".repeat(128), message: "ж".repeat(1000) },
  { code: "🎄".repeat(100), message: "🎄".repeat(600) },
  { code: "%_'\"\\", message: "%_'\"\\" },
  { code: "é", message: "composed" },
  { code: "e\u0301", message: "decomposed" },
  { code: 42, message: 1.5 },
  { code: "", message: "" },
  { type: "urn:shop:full", title: "Full", detail: "The warehouse is full" }
]

/** Waits for another attempt after one. */
const isScheduled = (answer: Answer) => at(answer, "status") === "Pending" && at(answer, "attempts") === 1

export const outcomes: Subject = {
  title: "what the shop's endpoint answers",
  settings: shop,
  run: ({ get, getUntil, post }) =>
    Effect.gen(function* () {
      const submit = (id: string, told: Told) => post("/api/order", order(id, { metadata: { told } }))
      for (const [index, body] of results.entries()) {
        yield* submit(`result-${index}`, { status: 200, body })
        const done = yield* get(`/api/order/result-${index}?wait=30`)
        assert.strictEqual(at(done, "status"), "Completed")
      }
      // In JSON it has two quotes more, and each is a byte.
      for (const [characters, isKept] of [
        [65_534, true],
        [65_535, false]
      ] as const) {
        yield* submit(`result-of-${characters}`, { status: 200, characters })
        const done = yield* get(`/api/order/result-of-${characters}?wait=30`)
        assert.deepStrictEqual(at(done, "result"), isKept ? "x".repeat(characters) : null)
      }
      assert.deepStrictEqual(at(yield* get("/api/order/result-9"), "result"), "\u0000")
      assert.deepStrictEqual(at(yield* get("/api/order/result-10"), "result"), "\ud800 \udc00\ud83d")

      const codes: Array<unknown> = []
      for (const [index, error] of errors.entries()) {
        yield* submit(`error-${index}`, { status: 422, body: JSON.stringify(error) })
        const failed = yield* get(`/api/order/error-${index}?wait=30`)
        assert.strictEqual(at(failed, "status"), "Failed")
        codes.push(at(failed, "last_error", "code"))
        yield* get(`/api/order/error-${index}/history`)
      }
      // Two have none, and so that of their status.
      assert.strictEqual(new Set(codes).size, errors.length - 1)
      const groups = yield* get("/api/failures")
      assert.sameMembers([...each(groups, "failures", "error_code")], [...new Set(codes)])
      for (const code of new Set(codes)) {
        const found = yield* get(`/api/orders?error_code=${encodeURIComponent(String(code))}`)
        assert.deepStrictEqual([...new Set(each(found, "orders", "last_error", "code"))], [code])
      }
      // Exactly this code: not one that some would say is equal.
      const retried = yield* post("/api/orders/retry", { error_code: "out_of_stock" })
      assert.strictEqual(at(retried, "retried"), 1)
      yield* getUntil("/api/order/error-1", isStatus("Failed"))
      yield* get("/api/order/error-1/history")

      yield* submit("again", { status: 425 })
      const again = yield* get("/api/order/again?wait=30")
      assert.strictEqual(at(again, "status"), "Failed")
      yield* get("/api/order/again/history")
      yield* submit("in-an-hour", { status: 425, retryAfter: 3600 })
      const scheduled = yield* getUntil("/api/order/in-an-hour", isScheduled)
      assert.isString(at(scheduled, "next_attempt_at"))
      yield* get("/api/order/in-an-hour/history")
      yield* get("/api/orders?status=Pending")
      yield* post("/api/order/in-an-hour/cancel")
      yield* post("/api/order/in-an-hour/retry")
      yield* getUntil("/api/order/in-an-hour", isScheduled)
      yield* get("/api/order/in-an-hour/history")
      yield* get("/api/metrics")
    })
}
