import type * as SqlClient from "@effect/sql/SqlClient"
import { Array as Arr, Effect, Option } from "effect"
import type { Totals } from "../Command.ts"

const columns = `
  pending AS Pending, processing AS Processing, completed AS Completed, failed AS Failed, cancelled AS Cancelled,
  processing_ms AS processingMillis`

const read = (rows: ReadonlyArray<Totals>) =>
  Option.match(Arr.head(rows), {
    onNone: () => Effect.dieMessage("The table `totals` has lost its row"),
    onSome: Effect.succeed
  })

export const totals = (sql: SqlClient.SqlClient) =>
  Effect.flatMap(sql<Totals>`SELECT ${sql.literal(columns)} FROM totals`, read)

export const addToTotals = (sql: SqlClient.SqlClient) => (added: Totals) =>
  Effect.flatMap(
    sql<Totals>`
      UPDATE totals
      SET
        pending = pending + ${added.Pending}, processing = processing + ${added.Processing},
        completed = completed + ${added.Completed}, failed = failed + ${added.Failed},
        cancelled = cancelled + ${added.Cancelled}, processing_ms = processing_ms + ${added.processingMillis}
      RETURNING ${sql.literal(columns)}`,
    read
  )
