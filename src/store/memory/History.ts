import { Array as Arr, DateTime, Option } from "effect"
import { type ChangeFilter, changeFits, type OrderChange, type RowKey } from "../../order/OrderChange.ts"
import type { CommandOf, HistoryRange, SearchStep } from "../Command.ts"

/** Every change of an order, oldest first, unless none is kept. */
export const makeHistory = (isKept: boolean) => {
  let changes: Array<OrderChange> = []
  let range: HistoryRange = { from: 1, last: 0 }

  const remove = (isRemoved: (change: OrderChange) => boolean) => {
    const [kept, removed] = Arr.partition(changes, isRemoved)
    changes = kept
    range = { ...range, from: Math.max(range.from, (removed.at(-1)?.id ?? 0) + 1) }
    return removed.length
  }

  return {
    range: () => range,

    keep: (made: Arr.NonEmptyReadonlyArray<OrderChange>) => {
      const { id } = Arr.lastNonEmpty(made)
      range = { from: isKept ? range.from : id + 1, last: id }
      if (isKept) changes.push(...made)
    },

    forgetOrders: (keys: ReadonlySet<RowKey>) => remove(({ key }) => keys.has(key)),

    /** See `Command.Forget`. What was committed before an old change is old, also if a clock that was ahead dated it later than now. */
    forget: ({ asOf, before, limit }: CommandOf<"Forget">) => {
      const isOld = ({ at }: OrderChange) => DateTime.lessThan(at, before)
      const isAhead = ({ at }: OrderChange) => DateTime.greaterThan(at, asOf)
      const first = changes.slice(0, limit)
      const next = first.every(isAhead)
        ? Option.filter(
            Arr.findFirst(changes, (change) => !isAhead(change)),
            isOld
          )
        : Option.none()
      const prefix = Arr.takeWhile(first, (change) => isOld(change) || isAhead(change))
      const edge = Option.isSome(next) ? Arr.last(first) : Arr.findLast(prefix, isOld)
      return Option.match(edge, { onNone: () => 0, onSome: ({ id }) => remove((change) => change.id <= id) })
    },

    search: (filter: ChangeFilter, after: number, limit: number, look: number): SearchStep<OrderChange> => {
      const rest = changes.filter(({ id }) => id > after)
      const looked = filter.order_id === undefined ? rest.slice(0, look) : rest
      const found = looked.filter((change) => changeFits(filter, change)).slice(0, limit)
      const end = found.length === limit ? found.at(-1) : looked.at(-1)
      return { found, next: end === rest.at(-1) ? Option.none() : Option.fromNullable(end?.id) }
    }
  }
}
