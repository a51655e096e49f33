import { Array as Arr, DateTime, Effect, Either, Option, Predicate, Schema } from "effect"
import { inTurn } from "../NextTurn.ts"
import { Status } from "../order/Order.ts"
import { type OrderChange, RowKey, reasons } from "../order/OrderChange.ts"
import { isInteger, isOptionalTime, isStatus, isTime, optionalTime } from "./RowValues.ts"

const Time = Schema.DateTimeUtcFromNumber
const ErrorOfRun = Schema.parseJson(Schema.Struct({ code: Schema.String, message: Schema.String }))

export const ChangeRow = Schema.Struct({
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

const isReason = Schema.is(Schema.Literal(...reasons))

/** The change, if nothing went wrong in it, as in most; none also stands for "not sure". */
const plain = (row: unknown): Option.Option<OrderChange> => {
  if (!Predicate.isRecord(row)) return Option.none()
  const { at, attempt, by, from, id, key, next_attempt_at, order_id, reason, run, to, user_id } = row
  return row.error === null &&
    isInteger(id) &&
    isInteger(key) &&
    Predicate.isString(order_id) &&
    Predicate.isString(user_id) &&
    (from === null || isStatus(from)) &&
    isStatus(to) &&
    isTime(at) &&
    isInteger(run) &&
    isInteger(attempt) &&
    isReason(reason) &&
    isOptionalTime(next_attempt_at) &&
    (by === null || Predicate.isString(by))
    ? Option.some({
        id,
        key: RowKey(key),
        order_id,
        user_id,
        from: Option.fromNullable(from),
        to,
        at: DateTime.unsafeMake(at),
        run,
        attempt,
        reason,
        error: Option.none(),
        next_attempt_at: optionalTime(next_attempt_at),
        by: Option.fromNullable(by)
      })
    : Option.none()
}

const bySchema = Schema.decodeUnknownEither(ChangeRow)

/** Decodes a row as its schema does, which is used only for rows that are not plain. */
export const decodeChangeRow = (row: unknown) =>
  Option.match(plain(row), { onNone: () => bySchema(row), onSome: Either.right })

const decode = (rows: ReadonlyArray<unknown>) => Effect.forEach(rows, (row) => decodeChangeRow(row))

/** Decoded at a turn of the event loop, in some milliseconds. */
const atOnce = 250

/** Changes as they were kept. */
export const decodeChangeRows = (rows: ReadonlyArray<unknown>) =>
  Effect.map(
    Effect.forEach(Arr.chunksOf(rows, atOnce), (some) => inTurn(decode(some))),
    Arr.flatten
  )
