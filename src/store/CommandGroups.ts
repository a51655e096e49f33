import { type Array as Arr, DateTime, Option } from "effect"
import { type Order, OrderId, type Status, transitions } from "../order/Order.ts"
import type { OrderChange, RowKey } from "../order/OrderChange.ts"
import { fingerprint } from "../order/OrderContent.ts"
import { type Command, Outcome, type PrunedRecord, type Result, type Totals } from "./Command.ts"

/**
 * The commands in groups of one kind, so that each group can be one statement: neighbours only, and no order twice in
 * a group, so that what one command does is seen by the next.
 */
export const groups = (commands: Arr.NonEmptyReadonlyArray<Command>) => {
  const groups: Array<Arr.NonEmptyArray<Command>> = []
  const keys = new Set<RowKey>()
  for (const command of commands) {
    const group = groups.at(-1)
    const key = command._tag === "Claim" || command._tag === "Record" ? command.key : undefined
    if (group !== undefined && group[0]._tag === command._tag && (key === undefined || !keys.has(key))) {
      group.push(command)
    } else {
      groups.push([command])
      keys.clear()
    }
    if (key !== undefined) keys.add(key)
  }
  return groups
}

export const statusAfter = Outcome.$match({
  Completed: () => transitions.complete.to,
  Failed: () => transitions.fail.to,
  Postponed: () => transitions.postpone.to,
  Released: () => transitions.release.to
})

/** For how many milliseconds the order is to wait from now; none, if the outcome leaves it where it stood in line. */
export const waitOf = Outcome.$match({
  Completed: () => Option.none<number>(),
  Failed: () => Option.none<number>(),
  Postponed: ({ wait }) => Option.some(wait),
  Released: ({ wait }) => wait
})

export const noTotals: Totals = {
  Pending: 0,
  Processing: 0,
  Completed: 0,
  Failed: 0,
  Cancelled: 0,
  processingMillis: 0
}

export const addTo = (totals: Totals, changes: ReadonlyArray<OrderChange>): Totals => {
  const sum = { ...totals }
  for (const { elapsedMillis, from, status } of changes) {
    if (Option.isSome(from)) sum[from.value] -= 1
    sum[status] += 1
    if (status === "Completed") sum.processingMillis += elapsedMillis
  }
  return sum
}

export const change = (
  row: { readonly seq: RowKey; readonly order_id: string; readonly user_id: string; readonly attempts: number },
  from: Status | undefined,
  status: Status,
  at: number,
  since: number
): OrderChange => ({
  key: row.seq,
  order_id: row.order_id,
  user_id: row.user_id,
  from: Option.fromNullable(from),
  status,
  attempts: row.attempts,
  at: DateTime.unsafeMake(at),
  elapsedMillis: Math.max(0, at - since)
})

/** What one group of commands came to. */
export interface Done {
  readonly results: ReadonlyArray<Result>
  readonly changes: ReadonlyArray<OrderChange>
}

/** What is kept of an order that is pruned. */
export const recordOf = (order: Order): PrunedRecord => ({
  order_id: OrderId.make(order.order_id),
  fingerprint: fingerprint(order),
  status: order.status,
  finished_at: Option.getOrElse(order.finished_at, () => order.accepted_at)
})
