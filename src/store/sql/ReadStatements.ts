import { Array as Arr, type Context, DateTime, Effect, Option, Schema } from "effect"
import { nextTurn } from "../../NextTurn.ts"
import type { OrderId } from "../../order/Order.ts"
import type { RowKey } from "../../order/OrderChange.ts"
import { decodeOrderRow } from "../OrderRow.ts"
import type { Statements } from "../Statements.ts"
import { failureGroups } from "./FailureGroups.ts"
import { type Fragments, keyedOrder } from "./Fragments.ts"
import { search } from "./OrdersSearch.ts"
import { PrunedRows } from "./PrunedRows.ts"
import { totals } from "./Totals.ts"

type Database = Context.Tag.Service<Statements>

const decodePruned = Schema.decodeUnknown(PrunedRows)

const front =
  ({ lane, sql }: Fragments): Database["front"] =>
  (name, limit, now) => {
    const { from, isIn } = lane(name)
    return Effect.map(
      sql<{ seq: RowKey; due_at: number; ready: 0 | 1 }>`
        SELECT seq, due_at, CASE WHEN due_at <= ${now} THEN 1 ELSE 0 END AS ready
        FROM ${from}
        WHERE ${isIn}
        ORDER BY due_at, seq
        LIMIT ${limit}`,
      Arr.map(({ due_at, ready, seq }) => ({ key: seq, due_at, isDue: ready === 1 }))
    )
  }

const firstDueAt =
  ({ lane, sql }: Fragments): Database["firstDueAt"] =>
  (name) => {
    const { from, isIn } = lane(name)
    return Effect.map(
      sql<{ due_at: number }>`
        SELECT due_at FROM ${from}
        WHERE ${isIn}
        ORDER BY due_at
        LIMIT 1`,
      (rows) => Option.map(Arr.head(rows), ({ due_at }) => due_at)
    )
  }

/** Of the orders whose ids are taken so many are read in one turn of the event loop: two MiB, if they are that large. */
const knownAtOnce = 32

/** The statements that change nothing. */
export const readStatements = (fragments: Fragments) => {
  const { anyOf, orderColumns, sql } = fragments
  return {
    byId: (id: OrderId) =>
      Effect.flatMap(sql<{ seq: RowKey }>`SELECT seq, ${orderColumns} FROM orders WHERE order_id = ${id}`, (rows) =>
        Effect.transposeMapOption(Arr.head(rows), keyedOrder)
      ),
    known: (ids) =>
      Effect.map(
        Effect.forEach(Arr.chunksOf(new Set(ids), knownAtOnce), (some) =>
          Effect.zipLeft(
            Effect.flatMap(sql`SELECT ${orderColumns} FROM orders WHERE order_id IN ${anyOf.ids(some)}`, (rows) =>
              Effect.forEach(rows, (row) => decodeOrderRow(row))
            ),
            some.length === knownAtOnce ? nextTurn : Effect.void
          )
        ),
        Arr.flatten
      ),
    pruned: (ids) => Effect.flatMap(sql`SELECT * FROM pruned WHERE order_id IN ${anyOf.ids(ids)}`, decodePruned),
    front: front(fragments),
    firstDueAt: firstDueAt(fragments),
    search: search(fragments),
    byKeys: (keys) =>
      Effect.flatMap(
        sql<{
          seq: RowKey
        }>`SELECT seq, ${orderColumns} FROM orders WHERE seq IN ${anyOf.keys(keys)} ORDER BY seq DESC`,
        (rows) => Effect.forEach(rows, keyedOrder)
      ),
    failures: failureGroups(fragments),
    retentionTime: Effect.map(
      sql<{ time: number | null }>`
        SELECT COALESCE(retention_at, (SELECT accepted_at FROM orders ORDER BY seq DESC LIMIT 1)) AS time
        FROM totals`,
      (rows) => Option.map(Option.fromNullable(rows[0]?.time), DateTime.unsafeMake)
    ),
    totals: totals(fragments)
  } satisfies Partial<Database>
}
