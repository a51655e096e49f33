import { Array as Arr, DateTime, Option } from "effect"
import { Order, type OrderId, type Status, transitions } from "../../order/Order.ts"
import { type Command, type CommandOf, prunable, Result, suspectLosses, workerLost } from "../Command.ts"
import { errorOf, nextAttemptAt, transitionOf, waitOf } from "../CommandGroups.ts"
import type { OrdersTable, StoredOrder } from "./OrdersTable.ts"
import { reopens } from "./RowSearch.ts"

/** The order of a row as it waits, for the first time or again. */
const waiting = (row: StoredOrder, to: Partial<Order>) =>
  new Order({
    ...row.order,
    ...to,
    status: transitions.release.to,
    started_at: Option.none(),
    finished_at: Option.none(),
    next_attempt_at: row.wait > 0 || row.round > 1 ? Option.some(DateTime.unsafeMake(row.dueAt)) : Option.none()
  })

/** Where an order that was claimed stood in line: it was due then, and is so by a clock that was set back since. */
const stillDue = (row: StoredOrder, now: number): StoredOrder => ({ ...row, dueAt: Math.min(row.dueAt, now) })

const processing = (table: OrdersTable) => table.all().filter((row) => row.order.status === transitions.release.from[0])

const insert = (table: OrdersTable, maxPending: number, command: CommandOf<"Insert">, now: number): Result => {
  const { order, traceparent } = command
  const known = table.byId(order.order_id)
  if (Option.isSome(known)) return Result.Known({ order: known.value.order })
  const gone = table.prunedOf(order.order_id)
  if (Option.isSome(gone)) return Result.Gone({ record: gone.value })
  if (table.totals().Pending >= maxPending) return Result.Full()
  const accepted = new Order({
    ...order,
    status: transitions.accept.to,
    attempts: 0,
    accepted_at: DateTime.unsafeMake(now),
    started_at: Option.none(),
    finished_at: Option.none(),
    next_attempt_at: Option.none(),
    last_error: Option.none(),
    result: Option.none()
  })
  table.add({ order: accepted, run: 0, dueAt: now, wait: 0, losses: 0, round: 1, traceparent }, now)
  return Result.Inserted()
}

const claim = (table: OrdersTable, begunAt: number, { key }: CommandOf<"Claim">, now: number): Result => {
  const row = Option.getOrUndefined(table.inStatus(key, transitions.claim.from))
  if (row === undefined) return Result.Unchanged()
  const order = new Order({
    ...row.order,
    status: transitions.claim.to,
    attempts: row.order.attempts + 1,
    started_at: Option.some(DateTime.unsafeMake(now)),
    finished_at: Option.none(),
    next_attempt_at: Option.none()
  })
  const run = row.run + 1
  table.put(row, { ...row, order, run }, transitions.claim, now, { since: row.dueAt })
  const { round, traceparent } = row
  return Result.Claimed({ claim: { key, order, run, attempt: order.attempts, round, traceparent, begunAt } })
}

/** The row as if the run had not been. */
const putBack = (row: StoredOrder): StoredOrder => ({
  ...row,
  order: waiting(row, { attempts: row.order.attempts - 1 })
})

const record = (table: OrdersTable, command: CommandOf<"Record">, now: number): Result => {
  const row = Option.getOrUndefined(table.inStatus(command.key, transitions.complete.from))
  if (row === undefined || row.run !== command.run) return Result.Unchanged()
  const { at, outcome, took } = command
  const next = Option.match(waitOf(outcome), {
    onNone: () => stillDue(row, now),
    onSome: (wait) => ({ ...row, dueAt: now + wait, wait })
  })
  const transition = transitionOf(outcome)
  const facts = { error: errorOf(outcome), next_attempt_at: nextAttemptAt(outcome, now) }
  if (outcome._tag === "Postponed") {
    const order = waiting(next, { last_error: Option.some(outcome.error) })
    table.put(row, { ...next, order }, transition, now, facts)
    return Result.Recorded()
  }
  if (outcome._tag === "Released") {
    table.put(row, putBack(next), transition, now, facts)
    return Result.Recorded()
  }
  const order = new Order({
    ...row.order,
    status: transition.to,
    started_at: Option.map(row.order.started_at, DateTime.min(at)),
    finished_at: Option.some(at),
    result: outcome._tag === "Completed" ? outcome.result : Option.none(),
    last_error: outcome._tag === "Failed" ? Option.some(outcome.error) : Option.none()
  })
  table.put(row, { ...row, order }, transition, at.epochMillis, { ...facts, since: at.epochMillis - took })
  return Result.Recorded()
}

const release = (table: OrdersTable, { key, run }: CommandOf<"Release">, now: number): Result => {
  const held = processing(table).filter(
    (row) => Option.getOrElse(key, () => row.seq) === row.seq && Option.getOrElse(run, () => row.run) === row.run
  )
  for (const row of held) table.put(row, putBack(stillDue(row, now)), transitions.release, now)
  return Result.Released({ count: held.length })
}

/** Changes one order by its id, if it is in one of the statuses. */
const act = (
  table: OrdersTable,
  id: OrderId,
  from: ReadonlyArray<Status>,
  change: (row: StoredOrder) => void
): Result => {
  const before = Option.getOrUndefined(table.byId(id))
  if (before === undefined) return Result.Missing()
  const changed = from.includes(before.order.status)
  if (changed) change(before)
  const { order } = Option.getOrElse(table.byKey(before.seq), () => before)
  return Result.Acted({ order, changed })
}

const cancel = (table: OrdersTable, { by, order_id }: CommandOf<"Cancel">, now: number): Result =>
  act(table, order_id, transitions.cancel.from, (row) => {
    const order = new Order({
      ...row.order,
      status: transitions.cancel.to,
      next_attempt_at: Option.none(),
      started_at: Option.map(row.order.started_at, DateTime.min(DateTime.unsafeMake(now))),
      finished_at: Option.some(DateTime.unsafeMake(now))
    })
    table.put(row, { ...row, order }, transitions.cancel, now, { by })
  })

const openAgain = (table: OrdersTable, row: StoredOrder, now: number, by: Option.Option<string>) => {
  const next = { ...row, dueAt: now, wait: 0, losses: 0, round: row.round + 1 }
  const order = waiting(next, { attempts: 0, result: Option.none() })
  table.put(row, { ...next, order }, transitions.reopen, now, { by })
}

const reopen = (table: OrdersTable, { by, order_id }: CommandOf<"Reopen">, now: number): Result =>
  act(table, order_id, transitions.reopen.from, (row) => openAgain(table, row, now, by))

const reopenMany = (table: OrdersTable, { by, filter, keys }: CommandOf<"ReopenMany">, now: number): Result => {
  const { error_code, status } = filter
  const found = keys.flatMap((key) => Arr.fromOption(table.byKey(key))).filter(reopens({ error_code, status }))
  for (const row of found) openAgain(table, row, now, by)
  return Result.Reopened({ count: found.length })
}

const prune = (table: OrdersTable, { asOf, before, limit }: CommandOf<"Prune">): Result => {
  const finishedAt = ({ order }: StoredOrder) =>
    Option.match(order.finished_at, { onNone: () => 0, onSome: DateTime.toEpochMillis })
  const old = table
    .all()
    .filter(({ order }) => prunable.includes(order.status))
    .filter(({ order }) => Option.exists(order.finished_at, DateTime.lessThan(before)))
    .sort((a, b) => finishedAt(a) - finishedAt(b) || a.seq - b.seq)
    .slice(0, limit)
  table.setRetentionTime(asOf)
  table.prune(old)
  return Result.Pruned({ count: old.length })
}

const forget = (table: OrdersTable, command: CommandOf<"Forget">): Result => {
  table.setRetentionTime(command.asOf)
  return Result.Forgotten({ count: table.history.forget(command) })
}

const rebase = (table: OrdersTable, { after, by, limit, until }: CommandOf<"Rebase">, now: number): Result => {
  const line = table
    .all()
    .filter((row) => row.order.status === transitions.claim.from[0] && row.seq > after && row.seq <= until)
    .slice(0, limit)
  const found = line.filter((row) => by > 0 || row.dueAt > now + row.wait)
  for (const row of found) {
    const moved = Math.min(row.dueAt + by, now + row.wait)
    const next = { ...row, dueAt: by > 0 ? moved : Math.max(now, moved) }
    table.move({ ...next, order: waiting(next, {}) })
  }
  const end = line[limit - 1]?.seq ?? until
  return Result.Rebased({ count: found.length, next: end < until ? Option.some(end) : Option.none() })
}

const recover = (table: OrdersTable, { maxAttempts }: CommandOf<"Recover">, now: number): Result => {
  const held = processing(table)
  const isLost = (row: StoredOrder) => row.order.attempts >= maxAttempts && row.losses >= suspectLosses
  for (const row of held) {
    const at = DateTime.unsafeMake(now)
    const last_error = Option.some({ ...workerLost, attempt: row.order.attempts, at })
    const started_at = Option.map(row.order.started_at, DateTime.min(at))
    const finished_at = Option.some(at)
    const order = isLost(row)
      ? new Order({ ...row.order, status: transitions.fail.to, started_at, finished_at, last_error })
      : waiting(stillDue(row, now), { last_error })
    const next = { ...stillDue(row, now), order, losses: row.losses + 1 }
    table.put(row, next, isLost(row) ? transitions.fail : transitions.lose, now, { error: Option.some(workerLost) })
  }
  const failed = held.filter(isLost).length
  return Result.Recovered({ pending: held.length - failed, failed })
}

/** What each command does to the table. Nothing in it can fail half-way. */
export const orderWrites =
  (table: OrdersTable, maxPending: number, monotonic: () => number) =>
  (command: Command, now: number): Result => {
    switch (command._tag) {
      case "Insert":
        return insert(table, maxPending, command, now)
      case "Claim":
        return claim(table, monotonic(), command, now)
      case "Record":
        return record(table, command, now)
      case "Release":
        return release(table, command, now)
      case "Cancel":
        return cancel(table, command, now)
      case "Reopen":
        return reopen(table, command, now)
      case "ReopenMany":
        return reopenMany(table, command, now)
      case "Prune":
        return prune(table, command)
      case "Forget":
        return forget(table, command)
      case "Rebase":
        return rebase(table, command, now)
      // Jobs are of an engine that several nodes have in common.
      case "Touch":
      case "PutBack":
        return Result.Touched()
      case "Lose":
        return Result.Lost({ keys: [] })
      case "Sweep":
        return Result.Swept({ count: 0, next: Option.none() })
      case "Recover":
        return recover(table, command, now)
      case "Probe":
        return Result.Probed()
    }
  }
