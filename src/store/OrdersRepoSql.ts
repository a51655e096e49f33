import { Array as Arr, Clock, type Context, Effect, Exit, Layer, Option, Order as Ordering } from "effect"
import { AppConfig } from "../AppConfig.ts"
import { monotonicMillis } from "../MonotonicClock.ts"
import type { OrderId } from "../order/Order.ts"
import { atOnce, bothAtOnce } from "./AtOnce.ts"
import { type Command, type Commit, defaultLook, type NewChange, type Result, reopenable } from "./Command.ts"
import { addTo, byKind, groups, isOfMany, noTotals, numbered } from "./CommandGroups.ts"
import { makeRunGroup } from "./GroupRuns.ts"
import { makeLostCommit } from "./LostCommit.ts"
import { orderFits } from "./OrderFits.ts"
import { OrdersRepo } from "./OrdersRepo.ts"
import { type Begun, Statements } from "./Statements.ts"

/** Whether it may change orders: nodes do so one after the other, so that none waits for what another holds and wants. */
const changesOrders = ({ _tag }: Command) => !changesNone.includes(_tag)
/** A sweep changes some only if it finds something, and waits for the others then. */
const changesNone: ReadonlyArray<Command["_tag"]> = ["Touch", "Sweep", "Probe"]

/** The jobs that must be in this node's hands for what is to be done. */
const jobsOf = (command: Command) => {
  if (command._tag === "Claim") return Option.toArray(command.job)
  return command._tag === "Lose" ? command.jobs : []
}

const makeWrite = Effect.gen(function* () {
  const database = yield* Statements
  const { history, maxPending } = yield* AppConfig
  const isKept = Option.isSome(history)
  const { nodes } = database
  /** Nodes hear of each other by the changes, whether anybody else may read them or not. */
  const isWritten = isKept || Option.isSome(nodes)
  const monotonic = yield* monotonicMillis
  /** Whether the last transaction could not be written: then a probe takes as much room as any order may need. */
  let failed = false
  const lost = makeLostCommit(database)

  const runGroup = makeRunGroup(database, maxPending, monotonic, () => (failed ? "largest" : "ordinary"))

  /** Numbers changes and keeps them, behind those that the transaction has kept before. */
  const keep = Effect.fnUntraced(function* (
    made: ReadonlyArray<NewChange>,
    before: Option.Option<Commit>,
    lastChange: Begun["lastChange"] = Option.none()
  ) {
    if (!Arr.isNonEmptyReadonlyArray(made)) return before
    const kept = keepChanges(made, lastChange)
    const { changes, totals } = yield* Option.match(nodes, {
      onNone: () => kept,
      onSome: ({ keepJobs }) => Effect.map(bothAtOnce(kept, keepJobs(made)), ([kept]) => kept)
    })
    const all = Option.match(before, { onNone: () => changes, onSome: (_) => Arr.appendAll(_.changes, changes) })
    return Option.some({ changes: all, totals })
  })

  /** If the id of the last change is known before, the totals and the history at once. */
  const keepChanges = Effect.fnUntraced(function* (
    made: Arr.NonEmptyReadonlyArray<NewChange>,
    lastBefore: Begun["lastChange"]
  ) {
    const add = database.addToTotals({ totals: addTo(noTotals, made), changes: made.length, isKept })
    const numberedTo = (last: number) => {
      const changes = numbered(made, last)
      return Effect.as(isWritten ? database.keepChanges(changes) : Effect.void, changes)
    }
    if (Option.isSome(lastBefore)) {
      const [{ totals }, changes] = yield* bothAtOnce(add, numberedTo(lastBefore.value + made.length))
      return { changes, totals }
    }
    const { lastChange, totals } = yield* add
    return { changes: yield* numberedTo(lastChange), totals }
  })

  /** Runs groups one after the other: what one does is seen by the next. */
  const runInTurn = Effect.fnUntraced(function* (commands: Arr.NonEmptyReadonlyArray<Command>, begun: Begun) {
    const results: Array<Result> = []
    let made: Array<NewChange> = []
    let commit = yield* lost.find
    for (const group of groups(commands)) {
      // What is pruned takes its history with it, and so that must be there.
      if (group[0]._tag === "Prune") {
        commit = yield* keep(made, commit)
        made = []
      }
      const done = yield* runGroup(group[0]._tag, group, begun, made)
      results.push(...done.results)
      made.push(...done.changes)
    }
    return { results, commit: yield* keep(made, commit) }
  })

  /** Runs commands that are each about an order of its own, those of one kind as a group, and all groups at once. */
  const runAtOnce = Effect.fnUntraced(function* (commands: Arr.NonEmptyReadonlyArray<Command>, begun: Begun) {
    const [places, sorted] = byKind(commands)
    const done = yield* atOnce(groups(sorted).map((group) => runGroup(group[0]._tag, group, begun, [])))
    const results: Array<Result> = []
    for (const [index, result] of done.flatMap(({ results }) => results).entries()) results[places[index] ?? 0] = result
    return {
      results,
      commit: yield* keep(
        done.flatMap(({ changes }) => changes),
        Option.none(),
        begun.lastChange
      )
    }
  })

  const runAll = Effect.fnUntraced(function* (commands: Arr.NonEmptyReadonlyArray<Command>) {
    if (Option.isNone(nodes))
      return yield* runInTurn(commands, {
        now: yield* Clock.currentTimeMillis,
        held: new Set(),
        lastChange: Option.none()
      })
    const begun = yield* nodes.value.begin(commands.some(changesOrders), commands.flatMap(jobsOf))
    return yield* (isOfMany(commands) ? runAtOnce : runInTurn)(commands, begun)
  })

  const write = (commands: Arr.NonEmptyReadonlyArray<Command>) =>
    Effect.suspend(() => {
      let toCommit = Option.none<Commit>()
      const run = Effect.tap(runAll(commands), ({ commit }) =>
        Effect.sync(() => {
          toCommit = commit
        })
      )
      return Effect.onExit(database.transaction(run), (exit) =>
        Effect.sync(() => {
          failed = Exit.isFailure(exit)
          // Where others write too, what was committed is found in the history.
          if (Option.isSome(nodes)) return
          if (failed) lost.failed(toCommit)
          else lost.succeeded()
        })
      )
    })
  return { write, isUnsure: lost.isUnsure }
})

const make = Effect.gen(function* () {
  const database = yield* Statements
  const isKept = Option.isSome((yield* AppConfig).history)
  const { reading } = database
  const service: Context.Tag.Service<OrdersRepo> = {
    ...(yield* makeWrite),
    fault: database.fault,
    find: (id) =>
      reading(
        Effect.map(
          database.byId(id),
          Option.map(({ order }) => order)
        )
      ),
    nodes: Option.map(database.nodes, ({ due, fetch, lastChange, leave, report, trim, watch }) => ({
      fetch: (lane, count) => reading(fetch(lane, count)),
      watch: reading(watch),
      lastChange: reading(lastChange),
      changes: (after, limit) => reading(database.changes({}, after, limit, defaultLook)),
      trim: (after) => reading(trim(after)),
      report: (own) => reading(report(own)),
      due: (most) => reading(due(most)),
      leave: (name) => reading(leave(name))
    })),
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
    changes: (filter, after, limit, look = defaultLook) =>
      isKept
        ? reading(database.changes(filter, after, limit, look))
        : Effect.succeed({ found: [], next: Option.none() }),
    // Other nodes may have another setting.
    historyRange: Effect.map(reading(database.historyRange), (range) =>
      isKept ? range : { ...range, from: range.last + 1 }
    ),
    failures: reading(database.failures),
    retentionTime: reading(database.retentionTime),
    totals: reading(database.totals)
  }
  return service
})

/** The repository in a database: each group of commands is one statement, whatever its size. */
export const layer = Layer.effect(OrdersRepo, make)
