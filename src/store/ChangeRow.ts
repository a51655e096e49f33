import { Schema } from "effect"
import { Status } from "../order/Order.ts"
import { RowKey, reasons } from "../order/OrderChange.ts"

const Time = Schema.DateTimeUtcFromNumber
const ErrorOfRun = Schema.parseJson(Schema.Struct({ code: Schema.String, message: Schema.String }))

const ChangeRows = Schema.Array(
  Schema.Struct({
    id: Schema.Int,
    key: Schema.Int.pipe(Schema.fromBrand(RowKey)),
    order_id: Schema.String,
    user_id: Schema.String,
    from: Schema.OptionFromNullOr(Status),
    to: Status,
    at: Time,
    run: Schema.Int,
    attempt: Schema.Int,
    reason: Schema.Literal(...reasons),
    error: Schema.OptionFromNullOr(ErrorOfRun),
    next_attempt_at: Schema.OptionFromNullOr(Time),
    by: Schema.OptionFromNullOr(Schema.String)
  })
)

/** Changes as they were kept. */
export const decodeChangeRows = Schema.decodeUnknown(ChangeRows)
