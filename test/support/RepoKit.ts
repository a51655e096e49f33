import { assert } from "@effect/vitest"
import { Array as Arr, type Context, DateTime, Effect, Equal, Option, Order as Ordering } from "effect"
import { OrderId } from "../../src/order/Order.ts"
import { type OrderChange, RowKey } from "../../src/order/OrderChange.ts"
import {
  answersOf,
  Command,
  type Commit,
  type Filter,
  type Lane,
  Outcome,
  Result,
  type SearchStep
} from "../../src/store/Command.ts"
import { noTotals } from "../../src/store/CommandGroups.ts"
import { OrderEvents } from "../../src/store/OrderEvents.ts"
import { OrdersRepo } from "../../src/store/OrdersRepo.ts"
import { anInsert } from "./TestLayers.ts"

/** Compared as JSON: dates keep caches inside, which must not count. */
export const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
export const same = (actual: unknown, expected: unknown, message?: string) =>
  assert.deepStrictEqual(plain(actual), plain(expected), message)

export const write = (...commands: Arr.NonEmptyReadonlyArray<Command>) =>
  Effect.flatMap(OrdersRepo, (repo) => repo.write(commands)).pipe(
    Effect.tap(({ results }) =>
      Effect.sync(() => {
        assert.lengthOf(results, commands.length)
        for (const [{ _tag }, result] of Arr.zip(commands, results)) {
          const possible: ReadonlyArray<string> = answersOf[_tag]
          assert.include(possible, result._tag)
        }
      })
    )
  )
export const results = (...commands: Arr.NonEmptyReadonlyArray<Command>) =>
  Effect.map(write(...commands), ({ results }) => results)
export const tags = (...commands: Arr.NonEmptyReadonlyArray<Command>) =>
  Effect.map(results(...commands), (results) => results.map(({ _tag }) => _tag))
export const changes = (...commands: Arr.NonEmptyReadonlyArray<Command>) =>
  Effect.map(write(...commands), ({ commit }) =>
    commit.pipe(
      Option.map(({ changes }) => changes),
      Option.getOrThrow
    )
  )
/** Writes and publishes, as the only writer. */
export const commit = (...commands: Arr.NonEmptyReadonlyArray<Command>) =>
  Effect.flatMap(write(...commands), ({ commit }) =>
    Option.match(commit, {
      onNone: () => Effect.void,
      onSome: (made) => Effect.flatMap(OrderEvents, (events) => events.publish(made))
    })
  )

export const find = (id: number | string) =>
  Effect.flatMap(OrdersRepo, (repo) => Effect.flatten(repo.find(OrderId.make(String(id)))))
export const window = (limit: number, lane: Lane = "open") =>
  Effect.flatMap(OrdersRepo, (repo) => repo.window(lane, limit))
/** The ids of a step of a listing, and the key to go on before. */
export const page = (filter: Filter = {}, before: Option.Option<number> = Option.none(), limit = 100, look?: number) =>
  Effect.flatMap(OrdersRepo, (repo) =>
    Effect.map(repo.list(filter, before, limit, look), ({ found, next }) => ({
      ids: found.map(({ order }) => order.order_id),
      next
    }))
  )

/** All that steps of a search find together; none finds more than it may. */
export const gather = <A, E>(
  step: (place: Option.Option<number>) => Effect.Effect<SearchStep<A>, E>,
  limit: number,
  place = Option.none<number>()
): Effect.Effect<ReadonlyArray<A>, E> =>
  Effect.gen(function* () {
    const all: Array<A> = []
    let next = place
    do {
      const { found, next: after } = yield* step(next)
      assert.isAtMost(found.length, limit)
      assert.isFalse(Option.isSome(after) && Equal.equals(after, next))
      all.push(...found)
      next = after
    } while (Option.isSome(next))
    return all
  })

export const listing = (repo: Context.Tag.Service<OrdersRepo>, filter: Filter, limit = 100, look?: number) =>
  gather((before) => repo.list(filter, before, limit, look), limit)
export const listed = (filter: Filter = {}, limit?: number, look?: number) =>
  Effect.flatMap(OrdersRepo, (repo) =>
    Effect.map(listing(repo, filter, limit, look), (found) => found.map(({ order }) => order.order_id))
  )
export const reopenable = (filter: Filter, until = Number.MAX_SAFE_INTEGER, limit = 100, look?: number) =>
  Effect.flatMap(OrdersRepo, (repo) =>
    gather(
      (after) =>
        repo.reopenable(
          filter,
          Option.getOrElse(after, () => 0),
          until,
          limit,
          look
        ),
      limit
    )
  )
export const failures = Effect.flatMap(OrdersRepo, (repo) => repo.failures)
export const totals = Effect.flatMap(OrdersRepo, (repo) => repo.totals)

export const insert = (id: number | string, rest: object = {}) => anInsert(id, rest)
/** The keys of the rows that came in those places. */
export const keyRange = (first: number, last: number) => Arr.map(Arr.range(first, last), (key) => RowKey(key))
export const claim = (key: number) => Command.Claim({ key: RowKey(key), job: Option.none() })
export const at = (millis: number) => DateTime.unsafeMake(millis)
export const completed = (result: Option.Option<unknown> = Option.none()) => Outcome.Completed({ result })
export const failed = (message = "no stock", code = "out_of_stock") =>
  Outcome.Failed({ error: { code, message, attempt: 1, at: at(7000) } })
export const postponed = (wait: number, code = "busy") =>
  Outcome.Postponed({ error: { code, message: "later", attempt: 1, at: at(7000) }, wait })
export const released = (wait?: number, why: OrderChange["error"] = Option.none()) =>
  Outcome.Released({ wait: Option.fromNullable(wait), why })
/** A run that took all the time since 0, unless it is said. */
export const record = (key: number, run: number, outcome: Outcome = completed(), millis = 0, took = millis) =>
  Command.Record({ key: RowKey(key), run, outcome, at: at(millis), took })
export const release = Command.Release({ key: Option.none(), run: Option.none() })
export const recover = (maxAttempts = 5) => Command.Recover({ maxAttempts })
export const cancel = (id: number | string, by?: string) =>
  Command.Cancel({ order_id: OrderId.make(String(id)), by: Option.fromNullable(by) })
export const reopen = (id: number | string, by?: string) =>
  Command.Reopen({ order_id: OrderId.make(String(id)), by: Option.fromNullable(by) })
export const reopenMany = (filter: Filter = {}, keys: ReadonlyArray<number> = Arr.range(1, 20), by?: string) =>
  Command.ReopenMany({ filter, keys: keys.map((key) => RowKey(key)), by: Option.fromNullable(by) })
export const rebase = (by = 0, after = 0, until = 100, limit = 100) => Command.Rebase({ by, after, until, limit })
export const rebased = (count: number, next?: number) => Result.Rebased({ count, next: Option.fromNullable(next) })
export const releaseOne = (key: number) => Command.Release({ key: Option.some(RowKey(key)), run: Option.none() })

/** Changes by key, without their ids: among neighbours of one kind, the order of the changes is not promised. */
export const byKey = <A extends OrderChange>(changes: ReadonlyArray<A>) =>
  Arr.map(
    Arr.sortWith(changes, ({ key }) => key, Ordering.number),
    ({ id, ...change }) => change
  )
/** A commit with its changes in that way. */
export const sorted = (commit: Option.Option<Commit>) => {
  const { changes, totals } = Option.getOrElse(commit, () => ({ changes: [], totals: noTotals }))
  return { changes: byKey(changes), totals }
}
/** A change in the first run of an order of user 1, but for what is given. */
export const aChange = (given: object) => ({
  user_id: "1",
  run: 1,
  attempt: 1,
  error: Option.none(),
  next_attempt_at: Option.none(),
  by: Option.none(),
  elapsedMillis: 0,
  ...given
})

/** An order in each status. */
export const oneOfEach = Effect.gen(function* () {
  yield* write(
    ...Arr.map(Arr.make("new", "retried", "processing", "completed", "failed", "cancelled"), (id) => insert(id))
  )
  yield* write(claim(2), claim(3), claim(4), claim(5))
  yield* write(
    record(2, 1, postponed(5000)),
    record(4, 1, completed(Option.some({ receipt: 1 })), 100),
    record(5, 1, failed(), 200),
    cancel("cancelled")
  )
})
