import { Effect } from "effect"
import { inLine } from "../../Redaction.ts"
import { refuse } from "./StartRefusal.ts"

/** The tables of a database by their columns, and lists of what is on them, as a database names it. */
interface Parts {
  readonly columns: Readonly<Record<string, string>>
  readonly indices: string
  readonly constraints: string
  readonly triggers: ReadonlyArray<string>
}

/** What a schema must have, a line each. */
export const schemaList = ({ columns, constraints, indices, triggers }: Parts) => [
  ...Object.keys(columns).map((table) => `table ${table}`),
  ...Object.entries(columns).flatMap(([table, list]) => list.split(", ").map((column) => `column ${table}.${column}`)),
  ...indices.split(", ").map((name) => `index ${name}`),
  ...constraints.split(", ").map((name) => `constraint ${name}`),
  ...triggers.map((trigger) => `trigger ${trigger}`)
]

/** How a schema differs from what it must have: what is missing, and what stands beside it and runs with our statements. */
export const schemaDifferences = (is: ReadonlyArray<string>, expected: ReadonlyArray<string>) => [
  ...expected.filter((what) => !is.includes(what)).map((what) => `${what} is missing`),
  ...is.filter((what) => !expected.includes(what)).map((what) => `${inLine(what)} is not ours`)
]

/** Refuses tables that somebody else changed: statements of ours might fail, or do something else. */
export const refuseDifferences = (shown: string, differences: ReadonlyArray<string>) => {
  if (differences.length === 0) return Effect.void
  const some = differences.slice(0, 5).join(", ")
  const more = differences.length > 5 ? `, and ${differences.length - 5} more` : ""
  return refuse(
    shown,
    `its tables were changed by somebody else (${some}${more})`,
    "undo that, or put a backup in place"
  )
}
