import { Array as Arr, Data, type DateTime, Option } from "effect"
import { type LastError, type NewOrder, type Order, type OrderId, type Status, transitions } from "../order/Order.ts"
import type { OrderChange, RowKey } from "../order/OrderChange.ts"
import type { Job } from "./Job.ts"

/** How a run ended. */
export type Outcome = Data.TaggedEnum<{
  Completed: { readonly result: Option.Option<unknown> }
  Failed: { readonly error: typeof LastError.Type }
  /** Another attempt is to be made, in `wait` milliseconds at the earliest. */
  Postponed: { readonly error: typeof LastError.Type; readonly wait: number }
  /** The run does not count as an attempt. The order waits where it stood in line, or `wait` milliseconds from now. */
  Released: { readonly wait: Option.Option<number>; readonly why: OrderChange["error"] }
}>
export const Outcome = Data.taggedEnum<Outcome>()

/** The runs lost with the process from which on an order is a suspect, and runs alone in a lane of its own. */
export const suspectLosses = 2

/** The `last_error` of an order that was lost with the process. */
export const workerLost = { code: "worker_lost", message: "The process ended while it worked on this order" }

/** The lines orders wait in: those of good standing, and the suspects. */
export type Lane = "open" | "suspect"

/** Which orders: all that are given must fit. Times of acceptance are from `accepted_after` to before `accepted_before`. */
export interface Filter {
  readonly status?: Status | undefined
  /** Failed orders only. */
  readonly error_code?: string | undefined
  readonly user_id?: string | undefined
  readonly accepted_after?: DateTime.Utc | undefined
  readonly accepted_before?: DateTime.Utc | undefined
}

/** What no code of an error has: one database refuses it as a parameter, another reads it as some other character. */
const inNoCode = /[\p{Cc}\p{Cs}]/u

/** Whether an order can have failed with that code. */
export const canBeCode = (error_code: string) => !inNoCode.test(error_code)

/** In which status orders that are to be reopened must be: Failed, if the filter has none; none if they cannot be. */
export const reopenable = ({ error_code, status = transitions.reopen.from[0] }: Filter) =>
  Option.filter(
    Arr.findFirst(transitions.reopen.from, (from) => from === status),
    (from) => error_code === undefined || (from === transitions.fail.to && canBeCode(error_code))
  )

/** At how many orders one step of a search looks, if nothing else is asked for. */
export const defaultLook = 1000

/** What a step of a search found, and the key behind which to go on; none if there is nothing left. */
export interface SearchStep<A> {
  readonly found: ReadonlyArray<A>
  readonly next: Option.Option<number>
}

/** What is kept of the history. */
export interface HistoryRange {
  /** Every change from this id on is kept, but for those of orders that were pruned before that. */
  readonly from: number
  /** The id of the last change; 0 before the first. */
  readonly last: number
}

/** What remains of a pruned order. */
export interface PrunedRecord {
  readonly order_id: OrderId
  readonly fingerprint: string
  readonly status: Status
  readonly finished_at: DateTime.Utc
}

/** The statuses that retention applies to. */
export const prunable: ReadonlyArray<Status> = ["Completed", "Cancelled"]

/** Everything that can be written. */
export type Command = Data.TaggedEnum<{
  /** Adds an order unless its id is known or as many orders wait as may wait. */
  Insert: { readonly order: NewOrder; readonly traceparent: Option.Option<string> }
  /**
   * Pending -> Processing, under the order's next run number; where there are several nodes, under that job, as long as it
   * is in this node's hands.
   */
  Claim: { readonly key: RowKey; readonly job: Option.Option<Job> }
  /**
   * Processing -> what the outcome says, if the order still is in this run. `at` is when the run ended, and `took` how
   * many milliseconds it ran, which no clock that is set makes longer or shorter.
   */
  Record: {
    readonly key: RowKey
    readonly run: number
    readonly outcome: Outcome
    readonly at: DateTime.Utc
    readonly took: number
  }
  /** Processing -> Pending: one order, in that run if one is given; or all of them. The run does not count as an attempt. */
  Release: { readonly key: Option.Option<RowKey>; readonly run: Option.Option<number> }
  /**
   * Removes the first `limit` of the Completed and Cancelled orders that were final before that time, with their
   * history, but for a small record of each, and remembers `asOf`: what time it is, as far as retention believes the clock.
   */
  Prune: { readonly before: DateTime.Utc; readonly asOf: DateTime.Utc; readonly limit: number }
  /** Removes the first changes of the history, at most `limit`, that were made before that time, and remembers `asOf` too. */
  Forget: { readonly before: DateTime.Utc; readonly asOf: DateTime.Utc; readonly limit: number }
  /** Pending or Processing -> Cancelled. `by` is the name of the key with which it was asked for, as in those below. */
  Cancel: { readonly order_id: OrderId; readonly by: Option.Option<string> }
  /** Failed or Cancelled -> Pending, with a fresh set of attempts: the order's next round. */
  Reopen: { readonly order_id: OrderId; readonly by: Option.Option<string> }
  /** The same for those of the keys whose orders are Failed, or whatever `filter` says, and have its error code. */
  ReopenMany: { readonly filter: Filter; readonly keys: ReadonlyArray<RowKey>; readonly by: Option.Option<string> }
  /**
   * What a crash left Processing -> Pending, with a loss counted; or Failed as `worker_lost`, if its attempts are used
   * up and it ran as a suspect: no other suspect ran then.
   */
  Recover: { readonly maxAttempts: number }
  /** Keeps these jobs in this node's hands: a job that nobody touches for ten seconds is handed to another node. */
  Touch: { readonly jobs: ReadonlyArray<Job> }
  /** Gives jobs away that this node has not begun: other nodes may fetch them, before what came later. */
  PutBack: { readonly jobs: ReadonlyArray<Job> }
  /**
   * Of jobs that this node has fetched and others had before: what a run under one of them left Processing is lost, as with
   * `Recover`. A job that was handed on since changes nothing.
   */
  Lose: { readonly jobs: ReadonlyArray<Job>; readonly maxAttempts: number }
  /**
   * Looks at `limit` orders in that status behind the key `after`, and mends those that no job points at: a Pending one
   * gets a job, the run of a Processing one is lost, as with `Recover`.
   */
  Sweep: {
    readonly status: "Pending" | "Processing"
    readonly after: number
    readonly limit: number
    readonly maxAttempts: number
  }
  /**
   * The clock was set by `by` milliseconds: the line moves with it, so that each order waits for as long as it would
   * have. 0 if it is not known by how many: what is to wait longer than its wait from now waits anew. It is done for
   * `limit` Pending orders, in the order of their keys, behind `after` and up to `until`.
   */
  Rebase: { readonly by: number; readonly after: number; readonly until: number; readonly limit: number }
  /** Changes nothing, but proves that a transaction can be committed. */
  Probe: {}
}>
export const Command = Data.taggedEnum<Command>()
export type CommandOf<Tag extends Command["_tag"]> = Extract<Command, { readonly _tag: Tag }>

/** What became of a command. */
export type Result = Data.TaggedEnum<{
  Inserted: {}
  /** The id is taken; this is the order that has it. */
  Known: { readonly order: Order }
  /** The id is taken by an order that was pruned; this is what remains of it. */
  Gone: { readonly record: PrunedRecord }
  /** Nothing was stored: the backlog is full. */
  Full: {}
  Claimed: { readonly claim: Claim }
  Recorded: {}
  Released: { readonly count: number }
  /** The order as it stands now. If nothing changed, its status was not one that the command starts from. */
  Acted: { readonly order: Order; readonly changed: boolean }
  Missing: {}
  Reopened: { readonly count: number }
  Pruned: { readonly count: number }
  Forgotten: { readonly count: number }
  /** How many of the orders were moved, and the key behind which to go on; none if there is nothing left. */
  Rebased: { readonly count: number; readonly next: Option.Option<number> }
  Recovered: { readonly pending: number; readonly failed: number }
  Touched: {}
  /** The orders whose runs were lost. */
  Lost: { readonly keys: ReadonlyArray<RowKey> }
  /** How many orders were mended; and the key behind which to go on, none if there is nothing left. */
  Swept: { readonly count: number; readonly next: Option.Option<number> }
  /** The order was not in the state (or the run) that the command wanted, so nothing changed. */
  Unchanged: {}
  Probed: {}
}>
export const Result = Data.taggedEnum<Result>()

/** What each command can be answered with. The conformance tests hold every repository to it. */
export const answersOf = {
  Insert: ["Inserted", "Known", "Gone", "Full"],
  Claim: ["Claimed", "Unchanged"],
  Record: ["Recorded", "Unchanged"],
  Release: ["Released"],
  Prune: ["Pruned"],
  Forget: ["Forgotten"],
  Cancel: ["Acted", "Missing"],
  Reopen: ["Acted", "Missing"],
  ReopenMany: ["Reopened"],
  Recover: ["Recovered"],
  Touch: ["Touched"],
  PutBack: ["Touched"],
  Lose: ["Lost"],
  Sweep: ["Swept"],
  Rebase: ["Rebased"],
  Probe: ["Probed"]
} as const satisfies Record<Command["_tag"], ReadonlyArray<Result["_tag"]>>

/** What a command of that kind is answered with. */
export type Answer<C extends Command> = Extract<Result, { readonly _tag: (typeof answersOf)[C["_tag"]][number] }>

/**
 * An order in a worker's hands. `run` is never reused; `attempt` counts towards `MAX_ATTEMPTS`, from 1; `round` is the
 * same from one time that someone asked for the order to the next. `traceparent` is the trace it was submitted in.
 * `begunAt` is when it was claimed, in milliseconds of the clock that is never set.
 */
export interface Claim {
  readonly key: RowKey
  readonly order: Order
  readonly run: number
  readonly attempt: number
  readonly round: number
  readonly traceparent: Option.Option<string>
  readonly begunAt: number
}

/** All-time counts by status, and the summed processing time of the Completed. */
export interface Totals extends Readonly<Record<Status, number>> {
  readonly processingMillis: number
}

/** A change that was just made. */
export interface CommittedChange extends OrderChange {
  /** How long it was in the state it left: waiting since it was due, or how long the run took. 0 when new. */
  readonly elapsedMillis: number
}

/** A change that is not committed yet, and so has no id; in which round of its order it was made. */
export interface NewChange extends Omit<CommittedChange, "id"> {
  readonly round: number
}

/** What a transaction changed, behind what one before it did whose answer was lost. */
export interface Commit {
  readonly changes: Arr.NonEmptyReadonlyArray<CommittedChange>
  readonly totals: Totals
}
