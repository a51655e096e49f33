import { Brand, type DateTime, type Option } from "effect"
import type { Status } from "./Order.ts"

/**
 * The key of an order's row, ascending in the order of arrival. The ends of a range, and where a search goes on, are
 * plain numbers: there need not be a row of that key.
 */
export type RowKey = number & Brand.Brand<"RowKey">
export const RowKey = Brand.nominal<RowKey>()

/** One order's change of status, as committed. */
export interface OrderChange {
  readonly key: RowKey
  readonly order_id: string
  readonly user_id: string
  readonly from: Option.Option<Status>
  readonly status: Status
  readonly attempts: number
  readonly at: DateTime.Utc
  /** How long it was in the state it left: waiting since it was due, or how long the run took. 0 when new. */
  readonly elapsedMillis: number
}
