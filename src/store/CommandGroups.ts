import { Array as Arr, DateTime, Option, Order as Ordering } from "effect"
import { type LastError, type Order, OrderId, type Status, transitions } from "../order/Order.ts"
import type { OrderChange, Reason, RowKey } from "../order/OrderChange.ts"
import { fingerprint } from "../order/OrderContent.ts"
import { type Command, type NewChange, Outcome, type PrunedRecord, type Result, type Totals } from "./Command.ts"
import type { Changed } from "./Statements.ts"

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

/** Commands of which each is about an order of its own, and so in whichever order they are. */
const ofMany: ReadonlyArray<Command["_tag"]> = ["Insert", "Claim", "Record"]
const rankOf = ({ _tag }: Command) => ofMany.indexOf(_tag)
export const isOfMany = (commands: ReadonlyArray<Command>) => commands.every((command) => rankOf(command) >= 0)

/** Such commands kind by kind, and the places that they had. */
export const byKind = (commands: Arr.NonEmptyReadonlyArray<Command>) => {
  const sorted = Arr.sort(
    Arr.map(commands, (command, place) => ({ command, place })),
    Ordering.mapInput(Ordering.number, ({ command }: { readonly command: Command }) => rankOf(command))
  )
  return [Arr.map(sorted, ({ place }) => place), Arr.map(sorted, ({ command }) => command)] as const
}

export const transitionOf = Outcome.$match({
  Completed: () => transitions.complete,
  Failed: () => transitions.fail,
  Postponed: () => transitions.postpone,
  Released: () => transitions.release
})

const failureOf = ({ code, message }: typeof LastError.Type) => Option.some({ code, message })

/** Why the run came to nothing, if it did. */
export const errorOf = Outcome.$match({
  Completed: () => Option.none(),
  Failed: ({ error }) => failureOf(error),
  Postponed: ({ error }) => failureOf(error),
  Released: ({ why }) => why
})

/** For how many milliseconds the order is to wait from now; none, if the outcome leaves it where it stood in line. */
export const waitOf = Outcome.$match({
  Completed: () => Option.none<number>(),
  Failed: () => Option.none<number>(),
  Postponed: ({ wait }) => Option.some(wait),
  Released: ({ wait }) => wait
})

/** When an order of that outcome may run again, if it is given a time: that of a retry may be now. */
export const nextAttemptAt = (outcome: Outcome, now: number) =>
  Option.map(waitOf(outcome), (wait) => DateTime.unsafeMake(now + wait))

export const noTotals: Totals = {
  Pending: 0,
  Processing: 0,
  Completed: 0,
  Failed: 0,
  Cancelled: 0,
  processingMillis: 0
}

export const addTo = (
  totals: Totals,
  changes: ReadonlyArray<Pick<NewChange, "elapsedMillis" | "from" | "to">>
): Totals => {
  const sum = { ...totals }
  for (const { elapsedMillis, from, to } of changes) {
    if (Option.isSome(from)) sum[from.value] -= 1
    sum[to] += 1
    if (to === "Completed") sum.processingMillis += elapsedMillis
  }
  return sum
}

/** What a change of a kind adds to what its row says; it was in the state it left `since` then. */
interface ChangeFacts {
  readonly since?: number
  readonly error?: OrderChange["error"]
  readonly next_attempt_at?: OrderChange["next_attempt_at"]
  readonly by?: OrderChange["by"]
}

export const change = (
  row: Changed,
  from: Status | undefined,
  { reason, to }: { readonly to: Status; readonly reason: Reason },
  at: number,
  { by = Option.none(), error = Option.none(), next_attempt_at = Option.none(), since = at }: ChangeFacts = {}
): NewChange => ({
  key: row.seq,
  order_id: row.order_id,
  user_id: row.user_id,
  from: Option.fromNullable(from),
  to,
  at: DateTime.unsafeMake(at),
  round: row.round,
  run: row.run,
  attempt: row.attempts,
  reason,
  error,
  next_attempt_at,
  by,
  elapsedMillis: Math.max(0, at - since)
})

/** The changes of a transaction with their ids, the last of which is known. */
export const numbered = (changes: Arr.NonEmptyReadonlyArray<NewChange>, last: number) =>
  Arr.map(changes, ({ round, ...change }, index) => ({ id: last - changes.length + 1 + index, ...change }))

/** What one group of commands came to. */
export interface Done {
  readonly results: ReadonlyArray<Result>
  readonly changes: ReadonlyArray<NewChange>
}

/** What is kept of an order that is pruned. */
export const recordOf = (order: Order): PrunedRecord => ({
  order_id: OrderId.make(order.order_id),
  fingerprint: fingerprint(order),
  status: order.status,
  finished_at: Option.getOrElse(order.finished_at, () => order.accepted_at)
})
