import { DateTime, Either, Option, Predicate, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import { Malformed, parseJson } from "../Json.ts"
import { isCurrency, isItemId, isMetadata, isMoney, isOrderId, isUserId, Order } from "../order/Order.ts"
import { isInteger, isOptionalTime, isStatus, isTime, optionalTime } from "./RowValues.ts"

const isText = <A extends string>(is: (text: string) => text is A) => Predicate.compose(Predicate.isString, is)
const [isOrderIdText, isUserIdText, isItemIdText] = [isText(isOrderId), isText(isUserId), isText(isItemId)]

/** Nothing for a value that is not a text of JSON, and for `null`. */
const json = (value: unknown): unknown => {
  const parsed = typeof value === "string" ? parseJson(value) : undefined
  return parsed instanceof Malformed || parsed === null ? undefined : parsed
}

/** The order, if its row has neither an error nor a result, as most that are claimed; none also stands for "not sure". */
const plain = (row: unknown): Option.Option<Order> => {
  if (!Predicate.isRecord(row)) return Option.none()
  const { accepted_at, attempts, currency, finished_at, next_attempt_at, order_id, started_at, status } = row
  const { last_error, result, total_amount, user_id } = row
  const item_ids = json(row.item_ids)
  const metadata = row.metadata === null ? null : json(row.metadata)
  return last_error === null &&
    result === null &&
    isOrderIdText(order_id) &&
    isUserIdText(user_id) &&
    isStatus(status) &&
    Predicate.isNumber(total_amount) &&
    isMoney(total_amount) &&
    isInteger(attempts) &&
    (currency === null || isCurrency(currency)) &&
    (metadata === null || isMetadata(metadata)) &&
    Array.isArray(item_ids) &&
    item_ids.every(isItemIdText) &&
    isTime(accepted_at) &&
    isOptionalTime(started_at) &&
    isOptionalTime(finished_at) &&
    isOptionalTime(next_attempt_at)
    ? Option.some(
        new Order(
          {
            order_id,
            status,
            user_id,
            item_ids,
            total_amount,
            currency: Option.fromNullable(currency),
            metadata: Option.fromNullable(metadata),
            attempts,
            accepted_at: DateTime.unsafeMake(accepted_at),
            started_at: optionalTime(started_at),
            finished_at: optionalTime(finished_at),
            next_attempt_at: optionalTime(next_attempt_at),
            last_error: Option.none(),
            result: Option.none()
          },
          { disableValidation: true }
        )
      )
    : Option.none()
}

const bySchema = Schema.decodeUnknownEither(Order)

/** Decodes a row as the schema `Order` does, which is used only for rows that are not plain: it costs several times as much. */
export const decodeOrderRow = (row: unknown): Either.Either<Order, ParseError> =>
  Option.match(plain(row), { onNone: () => bySchema(row), onSome: Either.right })
