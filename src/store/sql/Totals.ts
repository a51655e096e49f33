import { Array as Arr, type Context, Effect, Option } from "effect"
import type { HistoryRange, Totals } from "../Command.ts"
import type { Statements } from "../Statements.ts"
import type { Fragments } from "./Fragments.ts"

const columns = `
  pending AS "Pending", processing AS "Processing", completed AS "Completed", failed AS "Failed",
  cancelled AS "Cancelled", processing_ms AS "processingMillis"`

export const onlyRow = <A>(rows: ReadonlyArray<A>) =>
  Option.match(Arr.head(rows), {
    onNone: () => Effect.dieMessage("The table `totals` has lost its row"),
    onSome: Effect.succeed
  })

export const totals = ({ sql }: Fragments) =>
  Effect.flatMap(sql<Totals>`SELECT ${sql.literal(columns)} FROM totals`, onlyRow)

export const historyRange = ({ sql }: Fragments) =>
  Effect.flatMap(sql<HistoryRange>`SELECT history_from AS "from", last_change AS last FROM totals`, onlyRow)

export const addToTotals = ({ sql, updateTotals }: Fragments): Context.Tag.Service<Statements>["addToTotals"] => {
  const add = updateTotals<Totals & { lastChange: number }>({
    set: sql`
      pending = pending + ${0}, processing = processing + ${0}, completed = completed + ${0}, failed = failed + ${0},
      cancelled = cancelled + ${0}, processing_ms = processing_ms + ${0},
      history_from = CASE WHEN ${1} = 1 THEN history_from ELSE last_change + ${0} END,
      last_change = last_change + ${0}`,
    returning: sql.literal(`${columns}, last_change AS "lastChange"`)
  })
  return ({ changes, isKept, totals }) => {
    const { Cancelled, Completed, Failed, Pending, Processing, processingMillis } = totals
    const counts = [Pending, Processing, Completed, Failed, Cancelled, processingMillis]
    return Effect.map(
      Effect.flatMap(add([...counts, isKept ? 1 : 0, changes + 1, changes]), onlyRow),
      ({ lastChange, ...totals }) => ({ totals, lastChange })
    )
  }
}
