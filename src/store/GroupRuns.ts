import { Array as Arr, type Context, Effect, Option } from "effect"
import { type Status, transitions } from "../order/Order.ts"
import type { RowKey } from "../order/OrderChange.ts"
import { type Claim, Command, type CommandOf, type NewChange, Result, reopenable, workerLost } from "./Command.ts"
import { addTo, change, type Done, errorOf, nextAttemptAt, noTotals, transitionOf } from "./CommandGroups.ts"
import type { Begun, RunOf, StatementFault, Statements } from "./Statements.ts"

/** Runs the commands of a group, after the changes that others of the same transaction have made. */
type RunGroup<C extends Command> = (
  commands: ReadonlyArray<C>,
  begun: Begun,
  before: ReadonlyArray<NewChange>
) => Effect.Effect<Done, StatementFault>
type RunGroupOf = { readonly [Tag in Command["_tag"]]: RunGroup<CommandOf<Tag>> }

/** For kinds that come one at a time, and so need no statement for many. */
const oneByOne =
  <C extends Command>(
    run: (command: C, now: number, held: Begun["held"]) => Effect.Effect<Done, StatementFault>
  ): RunGroup<C> =>
  (commands, { held, now }) =>
    Effect.map(
      Effect.forEach(commands, (command) => run(command, now, held)),
      (done) => ({ results: done.flatMap((_) => _.results), changes: done.flatMap((_) => _.changes) })
    )

const nothing = (result: Result): Done => ({ results: [result], changes: [] })

type Database = Context.Tag.Service<Statements>

const insert = (database: Database, maxPending: number): RunGroup<CommandOf<"Insert">> =>
  Effect.fnUntraced(function* (commands, { now }, before) {
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
  Effect.fnUntraced(function* (commands, { held, now }) {
    const begunAt = monotonic()
    // What was given to this node is claimed only as long as it is in its hands.
    const rows = yield* database.claim(
      commands.filter(({ job }) => Option.match(job, { onNone: () => true, onSome: (job) => held.has(job) })),
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
      changes: rows.map(({ due_at, key, order, round, run, started_at }) => {
        const { attempts, order_id, user_id } = order
        const row = { seq: key, order_id, user_id, round, run, attempts }
        return change(row, transitions.claim.from[0], transitions.claim, started_at, { since: due_at })
      })
    }
  })

const record = (database: Database): RunGroup<CommandOf<"Record">> =>
  Effect.fnUntraced(function* (commands, { now }) {
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
  oneByOne<CommandOf<"Release">>((command, now) =>
    Effect.map(database.release(command, now), (rows) => ({
      results: [Result.Released({ count: rows.length })],
      changes: rows.map((row) => change(row, transitions.release.from[0], transitions.release, now))
    }))
  )

/** Ends the runs that were lost, all or those that are given. */
const lose = (database: Database, runs: Option.Option<ReadonlyArray<RunOf>>, maxAttempts: number, now: number) => {
  if (Option.exists(runs, Arr.isEmptyReadonlyArray)) return Effect.succeed([])
  return Effect.map(database.recover(runs, maxAttempts, now), (rows) =>
    rows.map((row) => {
      const transition = row.status === transitions.fail.to ? transitions.fail : transitions.lose
      return change(row, transition.from[0], transition, now, { error: Option.some(workerLost) })
    })
  )
}

const recover = (database: Database) =>
  oneByOne<CommandOf<"Recover">>(({ maxAttempts }, now) =>
    Effect.map(lose(database, Option.none(), maxAttempts, now), (changes) => {
      const failed = changes.filter(({ to }) => to === transitions.fail.to).length
      return { results: [Result.Recovered({ pending: changes.length - failed, failed })], changes }
    })
  )

/** The commands about jobs, of which there are none unless several nodes work on the database. */
const ofJobs = (database: Database) => {
  const { nodes } = database
  return {
    Touch: oneByOne<CommandOf<"Touch">>(({ jobs }) =>
      Effect.as(
        Effect.transposeMapOption(nodes, ({ touch }) => touch(jobs)),
        nothing(Result.Touched())
      )
    ),
    PutBack: oneByOne<CommandOf<"PutBack">>(({ jobs }) =>
      Effect.as(
        Effect.transposeMapOption(nodes, ({ putBack }) => putBack(jobs)),
        nothing(Result.Touched())
      )
    ),
    Lose: oneByOne<CommandOf<"Lose">>(({ jobs, maxAttempts }, now, held) => {
      const runs = jobs.filter((job) => held.has(job)).map(({ key, run }) => ({ key, run: run + 1 }))
      return Effect.map(lose(database, Option.some(runs), maxAttempts, now), (changes) => ({
        results: [Result.Lost({ keys: changes.map(({ key }) => key) })],
        changes
      }))
    }),
    Sweep: oneByOne<CommandOf<"Sweep">>(({ after, limit, maxAttempts, status }, now) =>
      Option.match(nodes, {
        onNone: () => Effect.succeed(nothing(Result.Swept({ count: 0, next: Option.none() }))),
        onSome: ({ sweep }) =>
          Effect.flatMap(sweep(status, after, limit), ({ next, orphans }) => {
            const lost = status === "Processing" ? orphans : []
            return Effect.map(lose(database, Option.some(lost), maxAttempts, now), (changes) => ({
              results: [Result.Swept({ count: orphans.length, next })],
              changes
            }))
          })
      })
    )
  }
}

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
      while (true) {
        const before = yield* database.byId(order_id)
        if (Option.isNone(before)) return nothing(Result.Missing())
        const { key, order: old } = before.value
        if (!from.includes(old.status)) return nothing(Result.Acted({ order: old, changed: false }))
        const rows = yield* set(key, old.status, now)
        // Another node has changed it since it was looked at.
        if (rows.length === 0) continue
        const after = yield* database.byId(order_id)
        if (Option.isNone(after)) return yield* Effect.dieMessage("An order that was changed is not there")
        return {
          results: [Result.Acted({ order: after.value.order, changed: true })],
          changes: rows.map((row) => change(row, old.status, transition, now, { by }))
        }
      }
    })
  )

/**
 * What runs a group of commands of one kind, by its statements, after the changes that were made in the same transaction.
 *
 * @param probeNeeds how much room a probe is to need
 */
export const makeRunGroup = (
  database: Database,
  maxPending: number,
  monotonic: () => number,
  probeNeeds: () => "ordinary" | "largest"
) => {
  const runs: RunGroupOf = {
    Insert: insert(database, maxPending),
    Claim: claim(database, monotonic),
    Record: record(database),
    Release: release(database),
    Recover: recover(database),
    ...ofJobs(database),
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
      Effect.as(database.probe(probeNeeds()), {
        results: commands.map(() => Result.Probed()),
        changes: []
      })
  }

  return <Tag extends Command["_tag"]>(
    tag: Tag,
    group: ReadonlyArray<Command>,
    begun: Begun,
    before: ReadonlyArray<NewChange>
  ): Effect.Effect<Done, StatementFault> => runs[tag](group.filter(Command.$is(tag)), begun, before)
}
