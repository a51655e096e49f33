import { Array as Arr, Clock, type Context, Effect, Exit, Layer, Option, Order as Ordering } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import { type OrderId, type Status, transitions } from "../order/Order.ts"
import type { RowKey } from "../order/OrderChange.ts"
import {
  type Claim,
  Command,
  type CommandOf,
  type Commit,
  defaultLook,
  type NewChange,
  Result,
  reopenable,
  workerLost
} from "./Command.ts"
import {
  addTo,
  change,
  type Done,
  errorOf,
  groups,
  nextAttemptAt,
  noTotals,
  numbered,
  transitionOf
} from "./CommandGroups.ts"
import { orderFits } from "./OrderFits.ts"
import { OrdersRepo } from "./OrdersRepo.ts"
import { type StatementFault, Statements } from "./Statements.ts"

/** Runs the commands of a group, after the changes that others of the same transaction have made. */
type RunGroup<C extends Command> = (
  commands: ReadonlyArray<C>,
  now: number,
  before: ReadonlyArray<NewChange>
) => Effect.Effect<Done, StatementFault>
type RunGroupOf = { readonly [Tag in Command["_tag"]]: RunGroup<CommandOf<Tag>> }

/** For kinds that come one at a time, and so need no statement for many. */
const oneByOne =
  <C extends Command>(run: (command: C, now: number) => Effect.Effect<Done, StatementFault>): RunGroup<C> =>
  (commands, now) =>
    Effect.map(
      Effect.forEach(commands, (command) => run(command, now)),
      (done) => ({ results: done.flatMap((_) => _.results), changes: done.flatMap((_) => _.changes) })
    )

const nothing = (result: Result): Done => ({ results: [result], changes: [] })

type Database = Context.Tag.Service<Statements>

const insert = (database: Database, maxPending: number): RunGroup<CommandOf<"Insert">> =>
  Effect.fnUntraced(function* (commands, now, before) {
    const ids = commands.map(({ order }) => order.order_id)
    const firstOf = new Map<string, number>()
    for (const [index, id] of ids.entries()) if (!firstOf.has(id)) firstOf.set(id, index)
    const distinct = commands.filter((_, index) => firstOf.get(ids[index] ?? "") === index)

    // The totals do not know yet of what waits since this transaction began.
    const rows = yield* database.insert(distinct, maxPending - addTo(noTotals, before).Pending, now)
    const changes = rows.map((row) => change(row, undefined, transitions.accept, row.accepted_at))
    const inserted = new Set(rows.map((row) => row.order_id))
    if (inserted.size === ids.length) return { results: ids.map(() => Result.Inserted()), changes }

    const isInserted = (id: string, index: number) => inserted.has(id) && firstOf.get(id) === index
    const others = ids.filter((id, index) => !isInserted(id, index))
    const known = new Map((yield* database.known(others)).map((order) => [order.order_id, order]))
    const gone = new Map((yield* database.pruned(others)).map((record) => [record.order_id, record]))
    const results = ids.map((id, index) => {
      if (isInserted(id, index)) return Result.Inserted()
      const order = known.get(id)
      if (order !== undefined) return Result.Known({ order })
      const record = gone.get(id)
      return record === undefined ? Result.Full() : Result.Gone({ record })
    })
    return { results, changes }
  })

const claim = (database: Database, monotonic: () => number): RunGroup<CommandOf<"Claim">> =>
  Effect.fnUntraced(function* (commands, now) {
    const begunAt = monotonic()
    const rows = yield* database.claim(
      commands.map(({ key }) => key),
      now
    )
    const claims = new Map<RowKey, Claim>()
    for (const { key, order, round, run, traceparent } of rows) {
      claims.set(key, { key, order, run, attempt: order.attempts, round, traceparent, begunAt })
    }
    return {
      results: commands.map(({ key }) => {
        const claim = claims.get(key)
        return claim ? Result.Claimed({ claim }) : Result.Unchanged()
      }),
      changes: rows.map(({ due_at, key, order, run, started_at }) => {
        const { attempts, order_id, user_id } = order
        const row = { seq: key, order_id, user_id, run, attempts }
        return change(row, transitions.claim.from[0], transitions.claim, started_at, { since: due_at })
      })
    }
  })

const record = (database: Database): RunGroup<CommandOf<"Record">> =>
  Effect.fnUntraced(function* (commands, now) {
    const rows = yield* database.record(commands, now)
    const recorded = new Map(rows.map((row) => [row.seq, row]))
    const changes: Array<NewChange> = []
    const results = commands.map(({ key, outcome }) => {
      const row = recorded.get(key)
      if (row === undefined) return Result.Unchanged()
      const at = row.finished_at ?? now
      changes.push(
        change(row, transitions.complete.from[0], transitionOf(outcome), at, {
          since: at - row.took,
          error: errorOf(outcome),
          next_attempt_at: nextAttemptAt(outcome, now)
        })
      )
      return Result.Recorded()
    })
    return { results, changes }
  })

const release = (database: Database) =>
  oneByOne<CommandOf<"Release">>(({ key }, now) =>
    Effect.map(database.release(key, now), (rows) => ({
      results: [Result.Released({ count: rows.length })],
      changes: rows.map((row) => change(row, transitions.release.from[0], transitions.release, now))
    }))
  )

const recover = (database: Database) =>
  oneByOne<CommandOf<"Recover">>(({ maxAttempts }, now) =>
    Effect.map(database.recover(maxAttempts, now), (rows) => {
      const failed = rows.filter((row) => row.status === transitions.fail.to).length
      return {
        results: [Result.Recovered({ pending: rows.length - failed, failed })],
        changes: rows.map((row) => {
          const transition = row.status === transitions.fail.to ? transitions.fail : transitions.lose
          return change(row, transition.from[0], transition, now, { error: Option.some(workerLost) })
        })
      }
    })
  )

const reopenMany = (database: Database) =>
  oneByOne<CommandOf<"ReopenMany">>(({ by, filter, keys }, now) =>
    Option.match(reopenable(filter), {
      onNone: () => Effect.succeed(nothing(Result.Reopened({ count: 0 }))),
      onSome: (status) =>
        Effect.map(database.reopenMany(keys, status, filter.error_code, now), (rows) => ({
          results: [Result.Reopened({ count: rows.length })],
          changes: rows.map((row) => change(row, status, transitions.reopen, now, { by }))
        }))
    })
  )

/** Changes one order by its id, if it is in a status from which that is legal, and still in it when it is changed. */
const act = (
  database: Database,
  transition: typeof transitions.cancel | typeof transitions.reopen,
  set: Database["cancel" | "reopen"]
) =>
  oneByOne<CommandOf<"Cancel" | "Reopen">>(
    Effect.fnUntraced(function* ({ by, order_id }, now) {
      const from: ReadonlyArray<Status> = transition.from
      const before = yield* database.byId(order_id)
      if (Option.isNone(before)) return nothing(Result.Missing())
      const { key, order: old } = before.value
      if (!from.includes(old.status)) return nothing(Result.Acted({ order: old, changed: false }))
      const rows = yield* set(key, old.status, now)
      const { order } = yield* Effect.orDie(Effect.flatten(database.byId(order_id)))
      return {
        results: [Result.Acted({ order, changed: rows.length > 0 })],
        changes: rows.map((row) => change(row, old.status, transition, now, { by }))
      }
    })
  )

const makeWrite = Effect.gen(function* () {
  const database = yield* Statements
  const { history, maxPending } = yield* AppConfig
  const isKept = Option.isSome(history)
  const monotonic = yield* monotonicMillis
  /** Whether the last transaction could not be written: then a probe takes as much room as any order may need. */
  let failed = false

  const runs: RunGroupOf = {
    Insert: insert(database, maxPending),
    Claim: claim(database, monotonic),
    Record: record(database),
    Release: release(database),
    Recover: recover(database),
    Cancel: act(database, transitions.cancel, database.cancel),
    Reopen: act(database, transitions.reopen, database.reopen),
    ReopenMany: reopenMany(database),
    Prune: oneByOne((command) => Effect.map(database.prune(command), (count) => nothing(Result.Pruned({ count })))),
    Forget: oneByOne((command) =>
      Effect.map(database.forget(command), (count) => nothing(Result.Forgotten({ count })))
    ),
    Rebase: oneByOne((command, now) =>
      Effect.map(database.rebase(command, now), (moved) => nothing(Result.Rebased(moved)))
    ),
    Probe: (commands) =>
      Effect.as(database.probe(failed ? "largest" : "ordinary"), {
        results: commands.map(() => Result.Probed()),
        changes: []
      })
  }

  const runGroup = <Tag extends Command["_tag"]>(
    tag: Tag,
    group: ReadonlyArray<Command>,
    now: number,
    before: ReadonlyArray<NewChange>
  ): Effect.Effect<Done, StatementFault> => runs[tag](group.filter(Command.$is(tag)), now, before)

  /** Numbers changes and keeps them, behind those that the transaction has kept before. */
  const keep = Effect.fnUntraced(function* (made: ReadonlyArray<NewChange>, before: Option.Option<Commit>) {
    if (!Arr.isNonEmptyReadonlyArray(made)) return before
    const added = { totals: addTo(noTotals, made), changes: made.length, isKept }
    const { lastChange, totals } = yield* database.addToTotals(added)
    const changes = numbered(made, lastChange)
    if (isKept) yield* database.keepChanges(changes)
    const all = Option.match(before, { onNone: () => changes, onSome: (_) => Arr.appendAll(_.changes, changes) })
    return Option.some({ changes: all, totals })
  })

  const runAll = Effect.fnUntraced(function* (commands: Arr.NonEmptyReadonlyArray<Command>) {
    const now = yield* Clock.currentTimeMillis
    const results: Array<Result> = []
    let made: ReadonlyArray<NewChange> = []
    let commit = Option.none<Commit>()
    for (const group of groups(commands)) {
      // What is pruned takes its history with it, and so that must be there.
      if (group[0]._tag === "Prune") {
        commit = yield* keep(made, commit)
        made = []
      }
      const done = yield* runGroup(group[0]._tag, group, now, made)
      results.push(...done.results)
      made = [...made, ...done.changes]
    }
    return { results, commit: yield* keep(made, commit) }
  })

  return (commands: Arr.NonEmptyReadonlyArray<Command>) =>
    Effect.onExit(database.transaction(runAll(commands)), (exit) =>
      Effect.sync(() => {
        failed = Exit.isFailure(exit)
      })
    )
})

const make = Effect.gen(function* () {
  const database = yield* Statements
  const { reading } = database
  const service: Context.Tag.Service<OrdersRepo> = {
    write: yield* makeWrite,
    fault: database.fault,
    find: (id) =>
      reading(
        Effect.map(
          database.byId(id),
          Option.map(({ order }) => order)
        )
      ),
    findPruned: (id: OrderId) => reading(Effect.map(database.pruned([id]), Arr.head)),
    window: (lane, limit) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.map(reading(database.front(lane, limit, now)), (rows) => ({
          ready: rows.filter(({ isDue }) => isDue).map(({ key }) => key),
          nextDueAt: Option.map(
            Arr.findFirst(rows, ({ isDue }) => !isDue),
            (row) => row.due_at
          ),
          more: rows.length === limit && rows.every(({ isDue }) => isDue)
        }))
      ),
    firstDueAt: reading(
      Effect.map(Effect.zip(database.firstDueAt("open"), database.firstDueAt("suspect")), (times) =>
        Option.map(Option.liftPredicate(Arr.getSomes(times), Arr.isNonEmptyArray), Arr.min(Ordering.number))
      )
    ),
    list: (filter, before, limit, look = defaultLook) =>
      reading(
        Effect.gen(function* () {
          const range = { low: 1, high: Option.getOrElse(before, () => Number.MAX_SAFE_INTEGER) - 1 }
          const { found, next } = yield* database.search(filter, range, "down", limit, look)
          // An order may have changed since its key was found, and does not fit any more.
          return { found: (yield* database.byKeys(found)).filter(orderFits(filter)), next }
        })
      ),
    reopenable: (filter, after, until, limit, look = defaultLook) =>
      Option.match(reopenable(filter), {
        onNone: () => Effect.succeed({ found: [], next: Option.none() }),
        onSome: (status) =>
          reading(database.search({ ...filter, status }, { low: after + 1, high: until }, "up", limit, look))
      }),
    changes: (filter, after, limit, look = defaultLook) => reading(database.changes(filter, after, limit, look)),
    historyRange: reading(database.historyRange),
    failures: reading(database.failures),
    retentionTime: reading(database.retentionTime),
    totals: reading(database.totals)
  }
  return service
})

/** The repository in a database: each group of commands is one statement, whatever its size. */
export const layer = Layer.effect(OrdersRepo, make)
