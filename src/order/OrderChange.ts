import type { DateTime, Option } from "effect"
import type { Status } from "./Order.ts"

/** The key of an order's row, ascending in the order of arrival. */
export type RowKey = number

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
