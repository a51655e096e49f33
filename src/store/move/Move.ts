import type { SqlError } from "@effect/sql/SqlError"
import { Data, Effect, Option } from "effect"
import { inTurn } from "../../NextTurn.ts"
import { Status } from "../../order/Order.ts"
import type { StartupError } from "../../StartupError.ts"
import { messageOf } from "../server/ServerErrors.ts"
import { edgeOf, insertRows, type MovedKey, type MovedRow, rowsUpTo } from "./MovedRows.ts"
import { type MovedTable, movedTables, totalsColumns } from "./MovedTables.ts"
import type { MoveSide, MoveTarget } from "./MoveSide.ts"

/** A move that ended without one: what is in the way, in one line. */
export class NotMoved extends Data.TaggedError("NotMoved")<{ readonly line: string }> {
  override get message() {
    return this.line
  }
}

/** How far a move is. Of changes the ids are counted, of which some may have gone. */
export interface MoveProgress {
  total: number
  copied: number
  compared: number
}

type Counts = Record<Status, number>

/** What was found equal on both sides. */
export interface Compared {
  readonly orders: Counts
  readonly pruned: number
  readonly changes: number
  readonly failures: number
  readonly totals: Readonly<Record<(typeof totalsColumns)[number], number | null>>
  readonly nextKey: number
}

/** Names the database that failed. */
const on =
  ({ shown }: MoveSide) =>
  <A>(statement: Effect.Effect<A, SqlError>): Effect.Effect<A, NotMoved> =>
    Effect.mapError(statement, (error) => new NotMoved({ line: `${shown}: ${messageOf(error)}` }))

type Totals = Compared["totals"]

const totalsOf = (side: MoveSide) =>
  on(side)(side.sql<Totals>`SELECT ${side.sql.literal(totalsColumns.join(", "))} FROM totals`).pipe(
    Effect.flatMap(([row, ...others]) =>
      row === undefined || others.length > 0
        ? new NotMoved({ line: `${side.shown}: the totals are gone, as \`orders doctor\` shows too` })
        : Effect.succeed(row)
    )
  )

type Page = { readonly rows: ReadonlyArray<MovedRow>; readonly after: Option.Option<MovedKey>; readonly edge: MovedKey }

/** All rows of a table in order, some at a time; the last key at the end. */
const eachPage = Effect.fnUntraced(function* (
  side: MoveSide,
  table: MovedTable,
  use: (page: Page) => Effect.Effect<void, NotMoved>
) {
  let after = Option.none<MovedKey>()
  for (;;) {
    const edge = yield* on(side)(edgeOf(side, table, after))
    if (Option.isNone(edge)) return after
    const rows = yield* on(side)(rowsUpTo(side, table, after, edge.value))
    yield* inTurn(use({ rows, after, edge: edge.value }))
    after = edge
  }
})

/** What a page adds to the progress. */
const stepOf = ({ name }: MovedTable, { after, edge, rows }: Page) => {
  if (name === "orders" || name === "pruned") return rows.length
  if (name !== "changes") return 0
  return Number(edge) - Number(Option.getOrElse(after, () => Number(rows[0]?.id) - 1))
}

const estimate = Effect.fnUntraced(function* (side: MoveSide, totals: Totals) {
  const [ids] = yield* on(side)(side.sql<{ first: number | null; last: number | null }>`
    SELECT min(id) AS first, max(id) AS last FROM changes`)
  const changes = ids?.first == null || ids.last === null ? 0 : ids.last - ids.first + 1
  const { cancelled, completed, failed, pending, processing } = totals
  return [pending, processing, completed, failed, cancelled, changes].reduce<number>(
    (sum, some) => sum + (some ?? 0),
    0
  )
})

const copy = Effect.fnUntraced(function* (
  source: MoveSide,
  target: MoveTarget,
  totals: Totals,
  progress: MoveProgress
) {
  yield* on(target)(target.begin(yield* on(source)(source.nextKey)))
  for (const table of Object.values(movedTables)) {
    yield* eachPage(source, table, (page) =>
      Effect.map(on(target)(insertRows(target, table, page.rows)), () => {
        progress.copied += stepOf(table, page)
      })
    )
  }
  // Last, for triggers of the others have counted in it.
  const { literal } = target.sql
  const values = totalsColumns.map((column) => target.sql`${literal(column)} = ${totals[column]}`)
  yield* on(target)(target.sql`UPDATE totals SET ${target.sql.csv(values)}`)
  yield* on(target)(target.end)
})

/** The first column in which two rows differ. */
const differing = (columns: ReadonlyArray<string>, one: MovedRow, other: MovedRow | undefined) =>
  other === undefined ? "(missing)" : columns.find((column) => one[column] !== other[column])

const differs = (target: MoveSide, what: string) =>
  new NotMoved({ line: `${target.shown}: nothing was moved, for what was written there is not what is read: ${what}` })

/** Reads a table on both sides, row by row. */
const compareTable = Effect.fnUntraced(function* (
  source: MoveSide,
  target: MoveSide,
  table: MovedTable,
  see: (page: Page) => void
) {
  const columns = Object.keys(table.columns)
  const last = yield* eachPage(source, table, (page) =>
    Effect.gen(function* () {
      const found = yield* on(target)(rowsUpTo(target, table, page.after, page.edge))
      for (const [index, row] of page.rows.entries()) {
        const column = differing(columns, row, found[index])
        if (column) return yield* differs(target, `${table.name} ${table.key} ${row[table.key]}, ${column}`)
      }
      if (found.length > page.rows.length) return yield* differs(target, `${table.name} has more rows`)
      see(page)
    })
  )
  if (Option.isSome(yield* on(target)(edgeOf(target, table, last)))) {
    return yield* differs(target, `${table.name} has more rows`)
  }
})

const isStatus = (value: unknown): value is Status => Status.literals.some((status) => status === value)

const noCounts = (): Counts => ({ Pending: 0, Processing: 0, Completed: 0, Failed: 0, Cancelled: 0 })

const compare = Effect.fnUntraced(function* (source: MoveSide, target: MoveSide, progress: MoveProgress) {
  const counted = { orders: noCounts(), all: noCounts(), pruned: 0, changes: 0, failures: 0 }
  const see = (table: MovedTable) => (page: Page) => {
    progress.compared += stepOf(table, page)
    for (const { status } of page.rows) {
      if (!isStatus(status)) continue
      counted.all[status] += 1
      if (table.name === "orders") counted.orders[status] += 1
    }
    if (table.name === "pruned" || table.name === "changes" || table.name === "failures") {
      counted[table.name] += page.rows.length
    }
  }
  for (const table of Object.values(movedTables)) yield* compareTable(source, target, table, see(table))
  const [is, should] = [yield* totalsOf(target), yield* totalsOf(source)]
  const column = totalsColumns.find((column) => is[column] !== should[column])
  if (column) return yield* differs(target, `totals, ${column}`)
  const [next, wanted] = [yield* on(target)(target.nextKey), yield* on(source)(source.nextKey)]
  if (next !== wanted) return yield* differs(target, `the key of the next order is ${next}, and was ${wanted}`)
  const { all, ...counts } = counted
  return { all, compared: { ...counts, totals: should, nextKey: next } satisfies Compared }
})

const totalOf = {
  Pending: "pending",
  Processing: "processing",
  Completed: "completed",
  Failed: "failed",
  Cancelled: "cancelled"
} as const

/** Totals that are wrong would go wrong further on the other side, where nobody finds out why. */
const checkTotals = (source: MoveSide, counted: Counts, totals: Totals) => {
  const wrong = Status.literals.filter((status) => totals[totalOf[status]] !== counted[status])
  return wrong.length === 0
    ? Effect.void
    : new NotMoved({
        line:
          `${source.shown}: nothing was moved, for not as many orders are ${wrong.join(", ")} as were counted: see ` +
          "what `orders doctor` finds"
      })
}

/**
 * Copies everything from one database into another, then reads both again, row by row, and compares all that was copied.
 * Only what is equal is committed. Memory does not grow with what there is.
 */
export const move = (
  source: MoveSide,
  target: MoveTarget,
  progress: MoveProgress
): Effect.Effect<Compared, NotMoved | StartupError> =>
  Effect.gen(function* () {
    const totals = yield* totalsOf(source)
    progress.total = yield* estimate(source, totals)
    yield* copy(source, target, totals, progress)
    const { all, compared } = yield* compare(source, target, progress)
    yield* checkTotals(source, all, totals)
    yield* Effect.catchTag(
      target.commit,
      "SqlError",
      (error) =>
        new NotMoved({
          line:
            `${target.shown}: whether all was committed is not known (${messageOf(error)}): move again, which is refused ` +
            "if it was"
        })
    )
    return compared
  })
