import { type Array as Arr, Context, type DateTime, type Deferred, type Effect, type Option } from "effect"
import type { Order, OrderId, StorageUnavailable } from "../order/Order.ts"
import type { ChangeFilter, OrderChange, RowKey } from "../order/OrderChange.ts"
import type {
  Command,
  Commit,
  Filter,
  HistoryRange,
  Lane,
  PrunedRecord,
  Result,
  SearchStep,
  Totals
} from "./Command.ts"
import type { Job } from "./Job.ts"
import type { NodeReport, NodeRow } from "./NodeRow.ts"

/** The Failed orders of one error code: how many, when the first and the last failed, and the newest five. */
export interface Failures {
  readonly error_code: string
  readonly count: number
  readonly first_at: DateTime.Utc
  readonly last_at: DateTime.Utc
  readonly order_ids: ReadonlyArray<OrderId>
}

/** The groups of the hundred most frequent codes, and how many orders and codes are not among them. */
export interface AllFailures {
  readonly failures: ReadonlyArray<Failures>
  readonly other: { readonly count: number; readonly groups: number }
}

/** The front of a lane of Pending orders, by due time and arrival. */
export interface Window {
  readonly ready: ReadonlyArray<RowKey>
  /** When the next order behind them becomes due; none if the line ends here, or goes on with ready ones. */
  readonly nextDueAt: Option.Option<number>
  /** The line goes on with orders that may be ready too. */
  readonly more: boolean
}

/** What is asked of a database where several nodes work on its orders. */
export interface Nodes {
  /** Takes jobs that are due into this node's hands, `count` at most. */
  readonly fetch: (lane: Lane, count: number) => Effect.Effect<ReadonlyArray<Job>, StorageUnavailable>
  /** Reports this node to the others: what all have reported within an hour. */
  readonly report: (own: NodeReport) => Effect.Effect<ReadonlyArray<NodeRow>, StorageUnavailable>
  /** How many orders are due and wait for a worker of some node, `most` at most. */
  readonly due: (most: number) => Effect.Effect<number, StorageUnavailable>
  /** The node of that name ends in order. */
  readonly leave: (name: string) => Effect.Effect<void, StorageUnavailable>
  /** The id of the last change of any node: this costs much less than to look for changes. */
  readonly lastChange: Effect.Effect<number, StorageUnavailable>
  /** The next changes of all nodes behind that id, oldest first, at most `limit`: also where no history is kept. */
  readonly changes: (after: number, limit: number) => Effect.Effect<SearchStep<OrderChange>, StorageUnavailable>
  /**
   * Removes changes that no reader is to have and that are not among the last 100,000: the first thousand behind the id
   * `after`. The id of the last of them; none if there is none, or another node is about it. For nodes without a history.
   */
  readonly trim: (after: number) => Effect.Effect<Option.Option<number>, StorageUnavailable>
  /** Hands on the jobs of nodes that have not been heard of for ten seconds. */
  readonly watch: Effect.Effect<void, StorageUnavailable>
}

/** Orders as stored. Every change of status is a compare-and-set, so a late or repeated step changes nothing. */
export class OrdersRepo extends Context.Tag("orders/OrdersRepo")<
  OrdersRepo,
  {
    /**
     * Runs the commands in their order in one transaction, synced before it returns; one result per command. After
     * `StorageUnavailable` nothing of it is visible, unless the answer to its COMMIT was lost: then the commit of the next
     * write that succeeds has its changes, too. Any other fault is a defect, and nothing of it is stored.
     */
    readonly write: (commands: Arr.NonEmptyReadonlyArray<Command>) => Effect.Effect<
      {
        readonly results: ReadonlyArray<Result>
        readonly commit: Option.Option<Commit>
      },
      StorageUnavailable
    >
    /** Whether it is not known yet if the last write that failed was committed. */
    readonly isUnsure: () => boolean
    readonly find: (id: OrderId) => Effect.Effect<Option.Option<Order>, StorageUnavailable>
    /** What remains of a pruned order. */
    readonly findPruned: (id: OrderId) => Effect.Effect<Option.Option<PrunedRecord>, StorageUnavailable>
    /** Where several nodes work on the orders; none where this process has them for itself. */
    readonly nodes: Option.Option<Nodes>
    /** Looks at the first `limit` Pending orders of a lane. */
    readonly window: (lane: Lane, limit: number) => Effect.Effect<Window, StorageUnavailable>
    /** When the Pending order that is due first was or will be due, in milliseconds since 1970. */
    readonly firstDueAt: Effect.Effect<Option.Option<number>, StorageUnavailable>
    /**
     * One step of a search, newest first, from the order before the key `before`: looks at `look` orders and finds
     * `limit` at most, each with its key. What takes many steps is to leave the event loop a turn between them.
     */
    readonly list: (
      filter: Filter,
      before: Option.Option<number>,
      limit: number,
      look?: number
    ) => Effect.Effect<SearchStep<{ readonly key: RowKey; readonly order: Order }>, StorageUnavailable>
    /** The same the other way, oldest first, behind `after` and up to `until`: the keys of what can be reopened. */
    readonly reopenable: (
      filter: Filter,
      after: number,
      until: number,
      limit: number,
      look?: number
    ) => Effect.Effect<SearchStep<RowKey>, StorageUnavailable>
    /** One step of a search in the history, oldest first, behind the change of the id `after`. */
    readonly changes: (
      filter: ChangeFilter,
      after: number,
      limit: number,
      look?: number
    ) => Effect.Effect<SearchStep<OrderChange>, StorageUnavailable>
    readonly historyRange: Effect.Effect<HistoryRange, StorageUnavailable>
    /** The Failed orders by error code, the most frequent ones first. */
    readonly failures: Effect.Effect<AllFailures, StorageUnavailable>
    /** What time retention believed it was at the last `Prune` or `Forget`; before the first, when the newest order was accepted. */
    readonly retentionTime: Effect.Effect<Option.Option<DateTime.Utc>, StorageUnavailable>
    readonly totals: Effect.Effect<Totals, StorageUnavailable>
    /** Done, with what happened, once nothing can be written any more until a restart. */
    readonly fault: Deferred.Deferred<string>
  }
>() {}
