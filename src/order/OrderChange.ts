import { Brand, type DateTime, type Option } from "effect"
import { type Status, transitions } from "./Order.ts"

/**
 * The key of an order's row, ascending in the order of arrival. The ends of a range, and where a search goes on, are
 * plain numbers: there need not be a row of that key.
 */
export type RowKey = number & Brand.Brand<"RowKey">
export const RowKey = Brand.nominal<RowKey>()

/** Why a status changed. Each reason leads to one status. */
export type Reason = (typeof transitions)[keyof typeof transitions]["reason"]

export const reasons: ReadonlyArray<Reason> = Object.values(transitions).map(({ reason }) => reason)

/** One order's change of status, as committed and as kept in its history. */
export interface OrderChange {
  /** Ascending in the order of commit, without gaps, and never used twice. */
  readonly id: number
  readonly key: RowKey
  readonly order_id: string
  readonly user_id: string
  /** None for a new order. */
  readonly from: Option.Option<Status>
  readonly to: Status
  readonly at: DateTime.Utc
  /** The number of the order's latest run; 0 before the first. */
  readonly run: number
  /** The runs that count against `MAX_ATTEMPTS`, after the change. */
  readonly attempt: number
  readonly reason: Reason
  /** Of a run that failed or was lost. */
  readonly error: Option.Option<{ readonly code: string; readonly message: string }>
  /** When the order may run again, if it is to wait. */
  readonly next_attempt_at: Option.Option<DateTime.Utc>
  /** The name of the key with which someone asked for it. */
  readonly by: Option.Option<string>
}

/** Which changes: all that are given must fit. `status` is the one that an order changed to. */
export interface ChangeFilter {
  readonly order_id?: string | undefined
  readonly user_id?: string | undefined
  readonly status?: Status | undefined
}

export const changeFits = (filter: ChangeFilter, { order_id, to, user_id }: OrderChange) =>
  (filter.order_id ?? order_id) === order_id && (filter.user_id ?? user_id) === user_id && (filter.status ?? to) === to
