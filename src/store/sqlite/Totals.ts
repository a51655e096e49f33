import type * as SqlClient from "@effect/sql/SqlClient"
import { Array as Arr, type Context, Effect, Option } from "effect"
import type { HistoryRange, Totals } from "../Command.ts"
import type { Statements } from "../Statements.ts"
import { everyTime } from "./Transaction.ts"

const columns = `
  pending AS Pending, processing AS Processing, completed AS Completed, failed AS Failed, cancelled AS Cancelled,
  processing_ms AS processingMillis`

const onlyRow = <A>(rows: ReadonlyArray<A>) =>
  Option.match(Arr.head(rows), {
    onNone: () => Effect.dieMessage("The table `totals` has lost its row"),
    onSome: Effect.succeed
  })

export const totals = (sql: SqlClient.SqlClient) =>
  Effect.flatMap(sql<Totals>`SELECT ${sql.literal(columns)} FROM totals`, onlyRow)

export const historyRange = (sql: SqlClient.SqlClient) =>
  Effect.flatMap(sql<HistoryRange>`SELECT history_from AS "from", last_change AS last FROM totals`, onlyRow)

export const addToTotals = (sql: SqlClient.SqlClient): Context.Tag.Service<Statements>["addToTotals"] => {
  const add = everyTime<Totals & { lastChange: number }>(
    sql,
    `UPDATE totals
    SET
      pending = pending + ?, processing = processing + ?, completed = completed + ?, failed = failed + ?,
      cancelled = cancelled + ?, processing_ms = processing_ms + ?, last_change = last_change + ?,
      history_from = CASE WHEN ? THEN history_from ELSE last_change + ? END
    RETURNING ${columns}, last_change AS lastChange`
  )
  return ({ changes, isKept, totals }) => {
    const { Cancelled, Completed, Failed, Pending, Processing, processingMillis } = totals
    const counts = [Pending, Processing, Completed, Failed, Cancelled, processingMillis, changes]
    return Effect.map(
      Effect.flatMap(add([...counts, isKept ? 1 : 0, changes + 1]), onlyRow),
      ({ lastChange, ...totals }) => ({ totals, lastChange })
    )
  }
}
