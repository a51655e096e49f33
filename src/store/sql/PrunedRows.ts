import { Schema } from "effect"
import { OrderId, Status } from "../../order/Order.ts"

/** What is kept of orders that were pruned, as rows and as the JSON that rows are made of. */
export const PrunedRows = Schema.Array(
  Schema.Struct({
    order_id: OrderId,
    fingerprint: Schema.String,
    status: Status,
    finished_at: Schema.DateTimeUtcFromNumber
  })
)
