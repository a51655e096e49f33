import type { SqlError } from "@effect/sql/SqlError"
import { type Array as Arr, Context, type DateTime, type Deferred, type Effect, type Option } from "effect"
import type { ParseError } from "effect/ParseResult"
import type { Order, OrderId, Status, StorageUnavailable } from "../order/Order.ts"
import type { ChangeFilter, OrderChange, RowKey } from "../order/OrderChange.ts"
import type { CommandOf, Filter, HistoryRange, Lane, NewChange, PrunedRecord, SearchStep, Totals } from "./Command.ts"
import type { Job } from "./Job.ts"
import type { NodeReport, NodeRow } from "./NodeRow.ts"
import type { AllFailures } from "./OrdersRepo.ts"

/** A statement that failed, or a row that this service cannot have written. */
export type StatementFault = SqlError | ParseError

/** A row after its change: the part of it that is published. */
export interface Changed {
  readonly seq: RowKey
  readonly order_id: string
  readonly user_id: string
  readonly round: number
  readonly run: number
  readonly attempts: number
}

/** What a transaction adds to the totals. */
export interface Added {
  readonly totals: Totals
  /** How many changes it made, each of which gets an id. */
  readonly changes: number
  /** Whether the changes are kept. */
  readonly isKept: boolean
}

type Rows<A> = Effect.Effect<ReadonlyArray<A>, StatementFault>

/** A run of an order. */
export interface RunOf {
  readonly key: RowKey
  readonly run: number
}

/** What nodes say of themselves, each in a row of its own, and what they did. Not within a transaction. */
export interface NodeTable {
  /** The id of the last change. */
  readonly lastChange: Effect.Effect<number, StatementFault>
  /** Writes the node's row, and reads those of all that were heard of within an hour, the last heard first. */
  readonly report: (own: NodeReport) => Rows<NodeRow>
  /** How many orders are due and wait for a worker, by the database's clock, `most` at most. */
  readonly due: (most: number) => Effect.Effect<number, StatementFault>
  /**
   * Removes the first thousand changes behind the id `after` that no reader is to have and that are not among the last
   * 100,000, unless another node is about it: the id of the last of them.
   */
  readonly trim: (after: number) => Effect.Effect<Option.Option<number>, StatementFault>
  /** Removes the node's row. */
  readonly leave: (name: string) => Effect.Effect<void, StatementFault>
}

/** How things stand when a transaction begins. */
export interface Begun {
  readonly now: number
  readonly held: ReadonlySet<Job>
  /** The id of the last change, if nobody else adds one until the transaction ends. */
  readonly lastChange: Option.Option<number>
}

/** What else is done in a transaction where several nodes work on one database, by the jobs of an engine. */
export interface NodeStatements {
  /**
   * What time it is by the database's clock, and which of the jobs are in this node's hands as they were given to it: they
   * were not handed on since. If `isOrdered`, no other node changes orders until this transaction ends. Many orders have
   * rows in common, such as how many failed by a code: taken one by one, they would be waited for in circles.
   */
  readonly begin: (isOrdered: boolean, jobs: ReadonlyArray<Job>) => Effect.Effect<Begun, StatementFault>
  /**
   * Gives a job to each order that waits since, and removes those of orders that do not any more. Other statements of the
   * transaction may run at the same time.
   */
  readonly keepJobs: (changes: ReadonlyArray<NewChange>) => Effect.Effect<void, StatementFault>
  /** Takes jobs that are due into this node's hands, `count` at most. Not within a transaction. */
  readonly fetch: (lane: Lane, count: number) => Rows<Job>
  /** Hands on the jobs of nodes that have not been heard of. Not within a transaction. */
  readonly watch: Effect.Effect<void, StatementFault>
  readonly touch: (jobs: ReadonlyArray<Job>) => Effect.Effect<void, StatementFault>
  readonly putBack: (jobs: ReadonlyArray<Job>) => Effect.Effect<void, StatementFault>
  /** The orders in that status to which no job points. They get one if they are Pending. */
  readonly sweep: (
    status: "Pending" | "Processing",
    after: number,
    limit: number
  ) => Effect.Effect<{ readonly orphans: ReadonlyArray<RunOf>; readonly next: Option.Option<number> }, StatementFault>
}

/** Keys from the lowest to the highest, both among them. */
export interface KeyRange {
  readonly low: number
  readonly high: number
}

/** From the lowest key to the highest, or from the highest down: the oldest orders first, or the newest. */
export type Direction = "up" | "down"

/**
 * What a database must be able to do for the repository: each member is one statement, or a few, however many rows it is
 * about. Those that change something run within `transaction`, those that read within `reading`. `now` is the wall clock
 * in milliseconds since 1970, and the same for all commands of a transaction.
 *
 * Rows that are given by their status change only if they are in it: a compare-and-set.
 */
export class Statements extends Context.Tag("orders/Statements")<
  Statements,
  {
    /**
     * Runs the body in one transaction, synced before it returns. What fails by the storage's fault is
     * `StorageUnavailable`, with nothing of it visible; any other failure is a defect, with nothing of it stored.
     */
    readonly transaction: <A>(body: Effect.Effect<A, StatementFault>) => Effect.Effect<A, StorageUnavailable>
    /** Runs a read. Its failures are those of a transaction. */
    readonly reading: <A>(read: Effect.Effect<A, StatementFault>) => Effect.Effect<A, StorageUnavailable>
    /** Done, with what happened, once nothing can be written any more until a restart. */
    readonly fault: Deferred.Deferred<string>
    /** None where one process works on the database, and has it for itself. */
    readonly nodes: Option.Option<NodeStatements & NodeTable>

    /** Adds orders with ids of their own, in this order, as long as fewer than `maxPending` wait: those it added. */
    readonly insert: (
      orders: ReadonlyArray<CommandOf<"Insert">>,
      maxPending: number,
      now: number
    ) => Rows<Changed & { readonly accepted_at: number }>
    /** Pending -> Processing, with the next run. */
    readonly claim: (
      claims: ReadonlyArray<CommandOf<"Claim">>,
      now: number
    ) => Rows<{
      readonly key: RowKey
      readonly order: Order
      readonly run: number
      readonly round: number
      readonly traceparent: Option.Option<string>
      readonly due_at: number
      readonly started_at: number
    }>
    /** Processing -> what the outcome says, of those that are in that run. */
    readonly record: (
      records: ReadonlyArray<CommandOf<"Record">>,
      now: number
    ) => Rows<Changed & { readonly status: Status; readonly finished_at: number | null; readonly took: number }>
    /** Processing -> Pending, uncounted: one order, or all of them. */
    readonly release: (which: Omit<CommandOf<"Release">, "_tag">, now: number) => Rows<Changed>
    /** Processing -> Pending, or Failed as `worker_lost`: those that are in these runs, or all of them. */
    readonly recover: (
      runs: Option.Option<ReadonlyArray<RunOf>>,
      maxAttempts: number,
      now: number
    ) => Rows<Changed & { readonly status: Status }>
    /** -> Cancelled, if the order is in that status: the row then, none otherwise. */
    readonly cancel: (key: RowKey, from: Status, now: number) => Rows<Changed>
    /** -> Pending, in its next round, if the order is in that status: the row then, none otherwise. */
    readonly reopen: (key: RowKey, from: Status, now: number) => Rows<Changed>
    /** The same for those of the keys that are in that status, and have that error code if one is given. */
    readonly reopenMany: (
      keys: ReadonlyArray<RowKey>,
      status: Status,
      error_code: string | undefined,
      now: number
    ) => Rows<Changed>
    /** Removes orders, with their history, and keeps a record of each: how many. Remembers what time retention believes it is. */
    readonly prune: (command: CommandOf<"Prune">) => Effect.Effect<number, StatementFault>
    /** Moves a piece of the line: how many orders moved, and the key behind which to go on. */
    readonly rebase: (
      command: CommandOf<"Rebase">,
      now: number
    ) => Effect.Effect<{ readonly count: number; readonly next: Option.Option<number> }, StatementFault>
    /**
     * Adds to the totals, in the one row that every transaction which changes orders updates last (and nodes lock first):
     * what they are then, and the id of the last of the changes. So the ids ascend in the order of commit, whoever writes.
     */
    readonly addToTotals: (
      added: Added
    ) => Effect.Effect<{ readonly totals: Totals; readonly lastChange: number }, StatementFault>
    /** Adds changes to the history. */
    readonly keepChanges: (changes: Arr.NonEmptyReadonlyArray<OrderChange>) => Effect.Effect<void, StatementFault>
    /** Removes the oldest changes, `limit` at most: how many. Remembers what time retention believes it is. */
    readonly forget: (command: CommandOf<"Forget">) => Effect.Effect<number, StatementFault>
    /** Writes what needs the room of an ordinary order, or of the largest. */
    readonly probe: (needs: "ordinary" | "largest") => Effect.Effect<void, StatementFault>

    readonly byId: (
      id: OrderId
    ) => Effect.Effect<Option.Option<{ readonly key: RowKey; readonly order: Order }>, StatementFault>
    readonly known: (ids: ReadonlyArray<string>) => Rows<Order>
    readonly pruned: (ids: ReadonlyArray<string>) => Rows<PrunedRecord>
    /** The first `limit` Pending orders of a lane, by due time and arrival. */
    readonly front: (
      lane: Lane,
      limit: number,
      now: number
    ) => Rows<{ readonly key: RowKey; readonly due_at: number; readonly isDue: boolean }>
    /** When the first Pending order of a lane was or will be due. */
    readonly firstDueAt: (lane: Lane) => Effect.Effect<Option.Option<number>, StatementFault>
    /** The keys of orders of the range that fit, `limit` at most, of `look` orders that are looked at. */
    readonly search: (
      filter: Filter,
      range: KeyRange,
      direction: Direction,
      limit: number,
      look: number
    ) => Effect.Effect<SearchStep<RowKey>, StatementFault>
    /** Those orders, newest first. */
    readonly byKeys: (keys: ReadonlyArray<RowKey>) => Rows<{ readonly key: RowKey; readonly order: Order }>
    readonly failures: Effect.Effect<AllFailures, StatementFault>
    /** The changes behind that id which fit, oldest first, `limit` at most, of `look` changes that are looked at. */
    readonly changes: (
      filter: ChangeFilter,
      after: number,
      limit: number,
      look: number
    ) => Effect.Effect<SearchStep<OrderChange>, StatementFault>
    readonly historyRange: Effect.Effect<HistoryRange, StatementFault>
    readonly retentionTime: Effect.Effect<Option.Option<DateTime.Utc>, StatementFault>
    readonly totals: Effect.Effect<Totals, StatementFault>
  }
>() {}
