import { Array as Arr, type Context, Effect, Option } from "effect"
import type { HistoryRange, Totals } from "../Command.ts"
import type { Statements } from "../Statements.ts"
import type { Fragments } from "./Fragments.ts"

const columns = `
  pending AS "Pending", processing AS "Processing", completed AS "Completed", failed AS "Failed",
  cancelled AS "Cancelled", processing_ms AS "processingMillis"`

const onlyRow = <A>(rows: ReadonlyArray<A>) =>
  Option.match(Arr.head(rows), {
    onNone: () => Effect.dieMessage("The table `totals` has lost its row"),
    onSome: Effect.succeed
  })

export const totals = ({ sql }: Fragments) =>
  Effect.flatMap(sql<Totals>`SELECT ${sql.literal(columns)} FROM totals`, onlyRow)

export const historyRange = ({ sql }: Fragments) =>
  Effect.flatMap(sql<HistoryRange>`SELECT history_from AS "from", last_change AS last FROM totals`, onlyRow)

export const addToTotals =
  ({ sql }: Fragments): Context.Tag.Service<Statements>["addToTotals"] =>
  ({ changes, isKept, totals }) =>
    Effect.map(
      Effect.flatMap(
        sql<Totals & { lastChange: number }>`
          UPDATE totals
          SET
            pending = pending + ${totals.Pending}, processing = processing + ${totals.Processing},
            completed = completed + ${totals.Completed}, failed = failed + ${totals.Failed},
            cancelled = cancelled + ${totals.Cancelled}, processing_ms = processing_ms + ${totals.processingMillis},
            history_from = ${isKept ? sql`history_from` : sql`last_change + ${changes + 1}`},
            last_change = last_change + ${changes}
          RETURNING ${sql.literal(columns)}, last_change AS "lastChange"`,
        onlyRow
      ),
      ({ lastChange, ...totals }) => ({ totals, lastChange })
    )
