import { SqlError } from "@effect/sql/SqlError"
import { assert, it } from "@effect/vitest"
import { Cause, DateTime, Effect, Layer, Option } from "effect"
import { Order, OrderId } from "../../src/order/Order.ts"
import { RowKey } from "../../src/order/OrderChange.ts"
import { Command } from "../../src/store/Command.ts"
import { makeRunGroup } from "../../src/store/GroupRuns.ts"
import type { Job } from "../../src/store/Job.ts"
import { Statements } from "../../src/store/Statements.ts"

const key = RowKey(1)
const order_id = OrderId.make("101")
const order = Order.make(
  {
    order_id,
    status: "Pending",
    user_id: "1" as never,
    item_ids: [],
    total_amount: 0 as never,
    currency: Option.none(),
    metadata: Option.none(),
    attempts: 0,
    accepted_at: DateTime.unsafeMake(0),
    started_at: Option.none(),
    finished_at: Option.none(),
    next_attempt_at: Option.none(),
    last_error: Option.none(),
    result: Option.none()
  },
  { disableValidation: true }
)
const gone = new SqlError({ cause: new Error("Connection terminated unexpectedly"), message: "Failed" })

it.effect("A cancel whose order cannot be read again fails by the storage's fault, and is no defect", () =>
  Effect.gen(function* () {
    let reads = 0
    const database = yield* Effect.provide(
      Statements,
      Layer.mock(Statements, {
        nodes: Option.none(),
        byId: () => {
          reads += 1
          return reads === 1 ? Effect.succeed(Option.some({ key, order })) : gone
        },
        cancel: () => Effect.succeed([{ seq: key, order_id, user_id: "1", round: 1, run: 0, attempts: 0 }])
      } as never)
    )
    const runGroup = makeRunGroup(
      database,
      10,
      () => 0,
      () => "ordinary"
    )
    const command = Command.Cancel({ order_id, by: Option.none() })
    const begun = { now: 0, held: new Set<Job>(), lastChange: Option.none() }
    const cause = yield* Effect.flip(Effect.sandbox(runGroup("Cancel", [command], begun, [])))
    assert.deepStrictEqual(cause, Cause.fail(gone))
  })
)
