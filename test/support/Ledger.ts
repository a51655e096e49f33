import { assert } from "@effect/vitest"
import { Effect, Schema } from "effect"

/** A driver may give an integer of eight bytes as a text. */
const Count = Schema.Union(Schema.Number, Schema.NumberFromString)

const Orders = Schema.Array(
  Schema.Struct({ seq: Count, order_id: Schema.String, status: Schema.String, run: Count, attempts: Count })
)
const Changes = Schema.Array(
  Schema.Struct({
    id: Count,
    seq: Count,
    from_status: Schema.NullOr(Schema.String),
    to_status: Schema.String,
    run: Count,
    attempt: Count,
    reason: Schema.String
  })
)
const TotalsRow = Schema.Tuple(
  Schema.Struct({
    pending: Count,
    processing: Count,
    completed: Count,
    failed: Count,
    cancelled: Count,
    last_change: Count
  })
)

type Query = (statement: string) => Promise<ReadonlyArray<Readonly<Record<string, unknown>>>>

/** What a database has of orders, as any other program reads it. */
export const readLedger = (query: Query) =>
  Effect.promise(async () => ({
    orders: Schema.decodeUnknownSync(Orders)(await query("SELECT seq, order_id, status, run, attempts FROM orders")),
    changes: Schema.decodeUnknownSync(Changes)(
      await query("SELECT id, seq, from_status, to_status, run, attempt, reason FROM changes ORDER BY id")
    ),
    totals: Schema.decodeUnknownSync(TotalsRow)(
      await query("SELECT pending, processing, completed, failed, cancelled, last_change FROM totals")
    )[0]
  }))

export type Ledger = Effect.Effect.Success<ReturnType<typeof readLedger>>

const final = ["Completed", "Failed", "Cancelled"]

/** Whether no order is to be worked on any more. */
export const isAtRest = ({ orders }: Ledger) => orders.every(({ status }) => final.includes(status))

/** Which changes end a run. A cancelled order need not have run. */
const ends = ["completed", "failed", "retry_scheduled", "put_back", "lost"]

/** Holds the orders, their history and the totals to each other. */
export const checkLedger = ({ changes, orders, totals }: Ledger) => {
  const idsOf = <A>(items: ReadonlyArray<A>, id: (item: A) => unknown) => new Set(items.map(id)).size
  assert.strictEqual(
    idsOf(orders, ({ order_id }) => order_id),
    orders.length,
    "an order is there twice"
  )

  const count = (status: string) => orders.filter((order) => order.status === status).length
  assert.deepStrictEqual(totals, {
    pending: count("Pending"),
    processing: count("Processing"),
    completed: count("Completed"),
    failed: count("Failed"),
    cancelled: count("Cancelled"),
    last_change: changes.length
  })
  const gaps = changes.filter(({ id }, index) => id !== index + 1)
  assert.deepStrictEqual(gaps.slice(0, 3), [], "the ids of the changes have gaps")

  const runs = (reasons: ReadonlyArray<string>) => changes.filter(({ reason }) => reasons.includes(reason))
  for (const some of [runs(["claimed"]), runs(ends), runs(["cancelled"])]) {
    assert.strictEqual(
      idsOf(some, ({ run, seq }) => `${seq}:${run}`),
      some.length,
      "a run is recorded twice"
    )
  }
  const final = runs(["completed", "failed", "cancelled"])
  assert.strictEqual(
    idsOf(final, ({ seq }) => seq),
    final.length,
    "an order ended twice"
  )

  const histories = new Map<number, Array<Ledger["changes"][number]>>()
  for (const change of changes) histories.set(change.seq, [...(histories.get(change.seq) ?? []), change])
  assert.strictEqual(histories.size, orders.length)
  for (const { attempts, order_id, run, seq, status } of orders) {
    const history = histories.get(seq) ?? []
    const shown = `order ${order_id}: ${JSON.stringify(history)}`
    let before: string | null = null
    for (const change of history) {
      assert.strictEqual(change.from_status, before, shown)
      before = change.to_status
    }
    assert.strictEqual(before, status, shown)
    assert.strictEqual(history.at(-1)?.attempt, attempts, shown)
    const claims = history.filter(({ reason }) => reason === "claimed")
    assert.deepStrictEqual(
      claims.map((claim) => claim.run),
      Array.from({ length: run }, (_, index) => index + 1),
      shown
    )
    const uncounted = history.filter(({ reason }) => reason === "put_back").length
    assert.strictEqual(attempts, run - uncounted, shown)
  }
}

/** Waits until no order is to be worked on any more, and holds what is there then to itself and to what was acknowledged. */
export const checkedLedger = Effect.fnUntraced(function* (
  query: Query,
  load: {
    readonly accepted: ReadonlySet<number>
    readonly cancelled: ReadonlySet<number>
    readonly unexpected: ReadonlyArray<string>
  }
) {
  let ledger = yield* readLedger(query)
  while (!isAtRest(ledger)) {
    yield* Effect.sleep("200 millis")
    ledger = yield* readLedger(query)
  }
  checkLedger(ledger)
  const stored = new Map(ledger.orders.map(({ order_id, status }) => [Number(order_id), status]))
  const missing = [...load.accepted].filter((id) => !stored.has(id))
  assert.deepStrictEqual(missing, [], "acknowledged, and not there")
  const alive = [...load.cancelled].filter((id) => stored.get(id) !== "Cancelled")
  assert.deepStrictEqual(alive, [], "cancelled, and not Cancelled")
  assert.deepStrictEqual(load.unexpected, [])
  return { ledger, stored }
})
