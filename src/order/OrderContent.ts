import { createHash } from "node:crypto"
import { isDeepStrictEqual } from "node:util"
import { Option, Struct } from "effect"
import type { NewOrder, Order } from "./Order.ts"

/** As JSON would bring it back, so that what is compared is what is stored: `-0` is 0. */
const stored = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** What a shop sends of an order besides its id: the same content under the same id is the same order. */
const content = ({ currency, item_ids, metadata, total_amount, user_id }: Order | NewOrder) => ({
  user_id,
  item_ids,
  total_amount,
  currency: Option.getOrNull(currency),
  metadata: stored(Option.getOrNull(metadata))
})

/** The fields in which a submitted order differs from the stored one of the same id. */
export const differences = (known: Order, sent: NewOrder): ReadonlyArray<string> => {
  const [before, now] = [content(known), content(sent)]
  return Struct.keys(before).filter((field) => !isDeepStrictEqual(before[field], now[field]))
}

/** With the keys in order, and so that no list reads like an object. */
const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? ["array", ...value.map(sorted)]
    : typeof value === "object" && value !== null
      ? [
          "object",
          ...Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, inner]) => [key, sorted(inner)])
        ]
      : value

/** SHA-256 of the content, whatever the order of the keys in it: equal for equal content, without keeping it. */
export const fingerprint = (order: Order | NewOrder): string => {
  const { currency, item_ids, metadata, total_amount, user_id } = content(order)
  const canonical = JSON.stringify([user_id, item_ids, total_amount, currency, sorted(metadata)])
  return createHash("sha256").update(canonical).digest("hex")
}
