import type { Option } from "effect"
import type { RowKey } from "../order/OrderChange.ts"

/** An order that is due; and the run behind which it is, where that is known. */
export interface Ticket {
  readonly key: RowKey
  readonly after: Option.Option<number>
}
