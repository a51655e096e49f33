import { Array as Arr, Effect, Schema } from "effect"
import { inTurn } from "../NextTurn.ts"
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

const decode = Schema.decodeUnknown(ChangeRows)

/** Decoded at a turn of the event loop, in some milliseconds. */
const atOnce = 250

/** Changes as they were kept. */
export const decodeChangeRows = (rows: ReadonlyArray<unknown>) =>
  Effect.map(
    Effect.forEach(Arr.chunksOf(rows, atOnce), (some) => inTurn(decode(some))),
    Arr.flatten
  )
