import { Array as Arr, type DateTime, Option } from "effect"
import { type Order, type OrderId, type Status, transitions } from "../../order/Order.ts"
import { RowKey } from "../../order/OrderChange.ts"
import type { Commit, CommittedChange, NewChange, PrunedRecord } from "../Command.ts"
import { addTo, change, noTotals, numbered, recordOf } from "../CommandGroups.ts"
import { makeHistory } from "./History.ts"

/** What a change says beside its row: see `change`. */
type Facts = Parameters<typeof change>[4]
type Transition = Parameters<typeof change>[2]

/** An order as it is kept, with what the line and the runs need to know of it. */
export interface StoredOrder {
  readonly seq: RowKey
  readonly order: Order
  readonly run: number
  readonly dueAt: number
  /** For how long it was to wait until then. */
  readonly wait: number
  readonly losses: number
  readonly round: number
  readonly traceparent: Option.Option<string>
}

/** The rows, by their keys and by the ids of their orders, with the totals and the changes that were not yet published. */
export const makeOrdersTable = (isHistoryKept: boolean) => {
  const rows = new Map<RowKey, StoredOrder>()
  const keys = new Map<OrderId, RowKey>()
  const pruned = new Map<OrderId, PrunedRecord>()
  let lastKey = 0
  let totals = noTotals
  let retentionTime = Option.none<DateTime.Utc>()
  let changed: Array<NewChange> = []
  let committed: ReadonlyArray<CommittedChange> = []
  const history = makeHistory(isHistoryKept)

  /** Puts the row in place and notes the change of its order. */
  const put = (before: StoredOrder | undefined, row: StoredOrder, by: Transition, at: number, facts?: Facts) => {
    rows.set(row.seq, row)
    const { order, round, run, seq } = row
    const { attempts, order_id, user_id } = order
    const made = change({ seq, order_id, user_id, round, run, attempts }, before?.order.status, by, at, facts)
    changed.push(made)
    totals = addTo(totals, [made])
  }

  /** Numbers the changes and keeps them. */
  const keep = () => {
    if (!Arr.isNonEmptyReadonlyArray(changed)) return
    const changes = numbered(changed, history.range().last + changed.length)
    history.keep(Arr.map(changes, ({ elapsedMillis, ...change }) => change))
    committed = [...committed, ...changes]
    changed = []
  }

  const byKey = (key: RowKey) => Option.fromNullable(rows.get(key))

  return {
    /** From the lowest key to the highest. */
    all: () => Array.from(rows.values()),
    byKey,
    byId: (id: OrderId) => Option.flatMap(Option.fromNullable(keys.get(id)), byKey),
    /** The row, if its order is in one of the statuses. */
    inStatus: (key: RowKey, from: ReadonlyArray<Status>) =>
      Option.filter(byKey(key), (row) => from.includes(row.order.status)),
    prunedOf: (id: OrderId) => Option.fromNullable(pruned.get(id)),
    totals: () => totals,
    retentionTime: () => retentionTime,
    setRetentionTime: (asOf: DateTime.Utc) => {
      retentionTime = Option.some(asOf)
    },

    add: (row: Omit<StoredOrder, "seq">, now: number) => {
      const seq = RowKey(++lastKey)
      keys.set(row.order.order_id, seq)
      put(undefined, { ...row, seq }, transitions.accept, now)
    },
    put,
    /** Puts a row in place whose order does not change, but for when it is due. */
    move: (row: StoredOrder) => rows.set(row.seq, row),
    /** Removes rows, and keeps what remains of their orders. */
    prune: (old: ReadonlyArray<StoredOrder>) => {
      // They take their history with them, and so that must be there.
      keep()
      for (const { order, seq } of old) {
        pruned.set(order.order_id, recordOf(order))
        keys.delete(order.order_id)
        rows.delete(seq)
      }
      history.forgetOrders(new Set(old.map(({ seq }) => seq)))
    },
    /** The changes since the last commit, which now are in the history. */
    commit: (): Option.Option<Commit> => {
      keep()
      const changes = committed
      committed = []
      return Arr.isNonEmptyReadonlyArray(changes) ? Option.some({ changes, totals }) : Option.none()
    },
    history
  }
}

export type OrdersTable = ReturnType<typeof makeOrdersTable>
