import { Effect } from "effect"

export type Row = Readonly<Record<string, number | string | null>>

/** The tables of a database of this service, whatever it is. All queries read one state of them. */
export interface Tables<E> {
  /** Runs a query. All that is put into its text are numbers of ours. */
  readonly rows: (query: string) => Effect.Effect<ReadonlyArray<Row>, E>
}

/** The one number that a query answers with. */
export const numberOf = <E>({ rows }: Tables<E>, query: string) =>
  Effect.map(rows(query), ([row]) => Number(Object.values(row ?? {})[0]))

/** Of each query that should find nothing, by name: how much it finds, and the first three. */
export const findings = <E>(
  tables: Tables<E>,
  queries: Readonly<Record<string, string>>,
  shown: (count: number) => number | string = (count) => count
) =>
  Effect.map(
    Effect.forEach(
      Object.entries(queries),
      Effect.fnUntraced(function* ([what, query]) {
        const count = yield* numberOf(tables, `SELECT count(*) FROM (${query}) AS wrong`)
        if (count === 0) return []
        const some = (yield* tables.rows(`${query} LIMIT 3`)).flatMap((row) => Object.values(row))
        return [`${what}: ${shown(count)} (${some.join(", ")}${count > some.length ? ", ..." : ""})`]
      })
    ),
    (found) => found.flat()
  )
