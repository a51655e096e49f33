import { Option } from "effect"
import { type Filter, reopenable } from "../Command.ts"
import { orderFits } from "../OrderFits.ts"
import type { StoredOrder } from "./OrdersTable.ts"

/** Whether a row fits the filter and can be reopened. */
export const reopens = (filter: Filter) =>
  Option.match(reopenable(filter), { onNone: () => () => false, onSome: (status) => orderFits({ ...filter, status }) })

/** The rows that fit, of so many that are looked at. */
export const lookThrough = (
  rest: ReadonlyArray<StoredOrder>,
  fits: (row: StoredOrder) => boolean,
  limit: number,
  look: number
) => {
  const found: Array<StoredOrder> = []
  let last: StoredOrder | undefined
  for (const row of rest.slice(0, look)) {
    last = row
    if (fits(row)) found.push(row)
    if (found.length === limit) break
  }
  const next = last === rest.at(-1) ? Option.none() : Option.fromNullable(last?.seq)
  return { found, next }
}
