import { assert, describe, it } from "@effect/vitest"
import type { ChangeJson, OrderJson } from "../../src/dashboard/ApiJson.ts"
import { moment } from "../../src/dashboard/Format.ts"
import { merged, type Step, storyOf } from "../../src/dashboard/StorySteps.ts"
import { partsOf } from "../../src/dashboard/Text.ts"
import { aChange, atSecond } from "./AChange.ts"

const order: OrderJson = {
  order_id: 1,
  status: "Completed",
  user_id: "ann",
  item_ids: [1],
  total_amount: 1,
  currency: null,
  metadata: null,
  attempts: 1,
  accepted_at: atSecond(0),
  started_at: atSecond(60),
  finished_at: atSecond(62),
  next_attempt_at: null,
  last_error: null,
  result: null
}

const changes = (...given: ReadonlyArray<Partial<ChangeJson>>) =>
  given.map((change, index) => aChange({ id: index + 1, ...change }))

const claimed = (second: number, run: number, attempt: number): Partial<ChangeJson> => ({
  ...{ from: "Pending", to: "Processing", at: atSecond(second), run, attempt, reason: "claimed" }
})

const ended = (
  reason: ChangeJson["reason"],
  second: number,
  run: number,
  attempt: number,
  rest: Partial<ChangeJson> = {}
): Partial<ChangeJson> => ({ from: "Processing", at: atSecond(second), run, attempt, reason, ...rest })

const noStock = { code: "no_stock", message: "None left" }

const lines = (steps: ReadonlyArray<Step>) =>
  steps.map(({ error, note, title }) =>
    [partsOf(title).join(""), note, ...(error === null ? [] : [`${error.code}: ${error.message}`])]
      .filter((part) => part !== "")
      .join("; ")
  )

describe("The story of an order", () => {
  it("tells each change in words, in the order of the ids", () => {
    const history = changes(
      {},
      claimed(3, 1, 1),
      ended("retry_scheduled", 5, 1, 1, { error: noStock, next_attempt_at: atSecond(9) }),
      claimed(9, 2, 2),
      ended("put_back", 10, 2, 1),
      claimed(11, 3, 2),
      ended("lost", 20, 3, 2, { error: { code: "worker_lost", message: "The process ended" } }),
      claimed(21, 4, 3),
      ended("failed", 22, 4, 3, { to: "Failed", error: noStock }),
      { from: "Failed", at: atSecond(30), run: 4, reason: "retried", by: "support" },
      { from: "Pending", to: "Cancelled", at: atSecond(31), run: 4, reason: "cancelled", by: "shop" },
      { from: "Cancelled", at: atSecond(32), run: 4, reason: "retried" },
      claimed(33, 5, 1),
      ended("completed", 35, 5, 1, { to: "Completed" })
    )
    assert.deepStrictEqual(lines(storyOf(order, history, 100)), [
      "Accepted",
      "Attempt 1 started; 3.00 s after it was accepted",
      `Attempt 1 failed; after 2.00 s, next attempt at ${moment(atSecond(9))}; no_stock: None left`,
      "Attempt 2 started",
      "Put back; after 1.00 s, run 2 does not count",
      "Attempt 2 started (run 3)",
      "Lost with the process; after 9.00 s, waits for its turn; worker_lost: The process ended",
      "Attempt 3 started (run 4)",
      "Attempt 3 failed; after 1.00 s, no further attempt; no_stock: None left",
      "Retried by support",
      "Cancelled by shop",
      "Retried",
      "Attempt 1 started (run 5)",
      "Completed; after 2.00 s"
    ])
  })

  it("shows the last changes of many, each with what the one before it says", () => {
    const history = changes({}, claimed(3, 1, 1), ended("completed", 5, 1, 1, { to: "Completed" }))
    assert.deepStrictEqual(lines(storyOf(order, history, 1)), ["Completed; after 2.00 s"])
    assert.lengthOf(storyOf(order, history, 2), 2)
  })

  it("is what the order itself says where there is no history, and says where its beginning is not kept", () => {
    assert.deepStrictEqual(lines(storyOf(order, [], 10)), [
      "Accepted",
      "Started; 60.0 s after it was accepted",
      "Completed; after 2.00 s"
    ])
    const retried = changes({ id: 9, from: "Failed", reason: "retried" })
    assert.deepStrictEqual(lines(storyOf(order, retried, 10)), ["Accepted; what came next is not kept", "Retried"])
  })

  it("has each change once and in order, however often and whenever it comes", () => {
    const ids = (found: ReadonlyArray<ChangeJson>) => found.map(({ id }) => id)
    const all = changes({}, {}, {}, {}, {})
    const live = merged(all.slice(0, 1), all.slice(3))
    assert.deepStrictEqual(ids(live), [1, 4, 5])
    assert.deepStrictEqual(ids(merged(live, all.slice(1))), [1, 2, 3, 4, 5])
    assert.deepStrictEqual(ids(merged([], [])), [])
  })
})
