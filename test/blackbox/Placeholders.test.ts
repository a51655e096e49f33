import { assert, describe, it } from "@effect/vitest"
import { makePlaceholders } from "./Placeholders.ts"

const time = (millis: number) => `2026-01-31T12:00:00.${String(millis).padStart(3, "0")}Z`

const order = (id: number | string, times: object) => JSON.stringify({ order_id: id, ...times, last_error: null })
const change = (id: number | string, reason: string, millis: number) =>
  JSON.stringify({ id: 1, order_id: id, user_id: 7, at: time(millis), run: 1, attempt: 1, reason, error: null })

describe("Placeholders", () => {
  it("name a time by its order and moment, the same in an order and in its changes", () => {
    const { answered } = makePlaceholders()
    assert.strictEqual(
      answered("/api/order/1", order(1, { accepted_at: time(1), started_at: time(2), finished_at: time(2) })),
      '{"order_id":1,"accepted_at":"<accepted of 1, 1>","started_at":"<claimed of 1, 1>","finished_at":"<ended of 1, 1>",' +
        '"last_error":null}'
    )
    assert.include(answered("/api/changes", change(1, "claimed", 2)), '"at":"<claimed of 1, 1>"')
    assert.include(answered("/api/changes", change(1, "completed", 2)), '"at":"<ended of 1, 1>"')
    assert.include(answered("/api/changes", change("1", "claimed", 2)), '"at":"<claimed of "1", 1>"')
  })

  it("show that a moment is not what it was", () => {
    const { answered } = makePlaceholders()
    const shown = [1, 2, 1].map((millis) => answered("/api/order/1", order(1, { accepted_at: time(millis) })))
    assert.deepStrictEqual(
      shown.map((text) => /<accepted of 1, (\d)>/.exec(text)?.[1]),
      ["1", "2", "1"]
    )
    assert.include(answered("/api/changes", change(1, "claimed", 1)), "<claimed of 1, 1>")
  })

  it("leave all else as it is, what looks alike in metadata too", () => {
    const { answered } = makePlaceholders()
    for (const text of [
      order(1, { accepted_at: "2026-01-31T12:00:00Z" }),
      order(1, { accepted_at: "2026-01-31T12:00:00.0001Z" }),
      order(1, { metadata: JSON.stringify({ accepted_at: time(1), next_cursor: "MQ" }) }),
      '{"p50":1}',
      '{"orders_queue_depth":1}'
    ]) {
      assert.strictEqual(answered("/api/order/1", text), text)
    }
  })

  it("name cursors in answers and where they are given back, and times where they are asked for", () => {
    const { answered, asked } = makePlaceholders()
    assert.strictEqual(asked("/api/orders?cursor=Mg&limit=1"), "/api/orders?cursor=Mg&limit=1")
    assert.strictEqual(
      answered("/api/orders", '{"orders":[],"next_cursor":"Mg"}'),
      '{"orders":[],"next_cursor":"<cursor 1>"}'
    )
    assert.strictEqual(asked("/api/orders?cursor=Mg&limit=1"), "/api/orders?cursor=<cursor 1>&limit=1")
    assert.strictEqual(asked(`/api/orders?accepted_after=${time(1)}`), `/api/orders?accepted_after=${time(1)}`)
    answered("/api/order/1", order(1, { accepted_at: time(1) }))
    assert.strictEqual(asked(`/api/orders?accepted_after=${time(1)}`), "/api/orders?accepted_after=<a time>")
  })

  it("leave out of metrics what is measured, and no count", () => {
    const { answered } = makePlaceholders()
    assert.strictEqual(
      answered("/api/metrics", '{"total_orders":3,"p50":1.5e-7,"queue_depth":0,"workers":2}'),
      '{"total_orders":3,"p50":<measured>,"queue_depth":<measured>,"workers":2}'
    )
    const lines = [
      "# TYPE orders_by_status gauge",
      'orders_by_status{status="Failed"} 3',
      'orders_processing_seconds_bucket{le="0.1"} 3',
      "orders_processing_seconds_sum 0.3",
      "orders_processing_seconds_count 3",
      "orders_queue_depth 1",
      "# HELP process_cpu_user_seconds_total Of the process",
      "process_cpu_user_seconds_total 1"
    ]
    assert.deepStrictEqual(answered("/metrics", lines.join("\n")).split("\n"), [
      ...lines.slice(0, 2),
      'orders_processing_seconds_bucket{le="0.1"} <measured>',
      "orders_processing_seconds_sum <measured>",
      "orders_processing_seconds_count 3",
      "orders_queue_depth <measured>",
      "<of the process>"
    ])
  })
})
