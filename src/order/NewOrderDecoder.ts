import { Either, Option, Predicate, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import {
  idText,
  isCurrency,
  isItemId,
  isMetadata,
  isMoney,
  isOrderId,
  isUserId,
  maxItems,
  NewOrder,
  unitsOf
} from "./Order.ts"

const fields = new Set(Object.keys(NewOrder.fields))

/** The order, if nothing is wrong with it; none also stands for "not sure". */
const plain = (json: unknown): Option.Option<NewOrder> => {
  if (!Predicate.isRecord(json)) return Option.none()
  for (const field in json) if (!fields.has(field)) return Option.none()
  const { currency = null, metadata = null } = json
  if (currency !== null && !isCurrency(currency)) return Option.none()
  if (metadata !== null && !isMetadata(metadata)) return Option.none()
  const [order_id, user_id, total_amount] = [idText(json.order_id), idText(json.user_id), unitsOf(json.total_amount)]
  if (!isOrderId(order_id) || !isUserId(user_id) || !isMoney(total_amount)) return Option.none()
  if (!Array.isArray(json.item_ids) || json.item_ids.length > maxItems) return Option.none()
  const item_ids = json.item_ids.map(idText).filter(isItemId)
  if (item_ids.length === 0 || item_ids.length < json.item_ids.length) return Option.none()
  return Option.some({
    order_id,
    user_id,
    item_ids,
    total_amount,
    currency: Option.fromNullable(currency),
    metadata: Option.fromNullable(metadata)
  })
}

const explain = Schema.decodeUnknownEither(NewOrder)
const explainFirst = Schema.decodeUnknownEither(
  NewOrder.annotations({ parseOptions: { errors: "first", onExcessProperty: "error" } })
)

/**
 * Decodes a new order as the schema `NewOrder` does, which is asked only where something may be wrong: it explains
 * faults well, and costs several times as much. With "first", only the first of an order's faults is reported.
 */
export const decodeNewOrder = (json: unknown, errors: "all" | "first" = "all"): Either.Either<NewOrder, ParseError> =>
  Option.match(plain(json), {
    onNone: () => (errors === "all" ? explain(json) : explainFirst(json)),
    onSome: Either.right
  })
