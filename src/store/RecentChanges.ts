import type { OrderChange } from "../order/OrderChange.ts"

/** How many of the last changes are at hand, at least. */
const kept = 1000

/** The last changes, whose ids follow each other, from those behind the change `last` on. */
export const makeRecentChanges = (last: number) => {
  let changes: Array<OrderChange> = []
  let start = last
  const end = () => start + changes.length
  return {
    /** The id of the last change. */
    end,
    add: (made: ReadonlyArray<OrderChange>) => {
      const [first] = made
      if (first === undefined) return
      if (first.id !== end() + 1) {
        changes = []
        start = first.id - 1
      }
      changes.push(...made)
      const surplus = changes.length - kept
      if (surplus < kept) return
      changes = changes.slice(surplus)
      start += surplus
    },
    /** Whether all that came behind that change is at hand. */
    reaches: (id: number) => id >= start && id <= end(),
    behind: (id: number, count: number): ReadonlyArray<OrderChange> => changes.slice(id - start, id - start + count)
  }
}
