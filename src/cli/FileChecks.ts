import { Effect } from "effect"
import { ok } from "./Check.ts"
import type { DatabaseReader } from "./DatabaseReader.ts"
import { portableRules, tookOfRun } from "./OrderChecks.ts"
import { tableChecks } from "./TableChecks.ts"

/** What may not be true of any row, by name. */
const rules = {
  ...portableRules,
  "items that are no list of 1 to 1000":
    "json_type(item_ids) IS NOT 'array' OR json_array_length(item_ids) NOT BETWEEN 1 AND 1000",
  "metadata that is no object": "metadata IS NOT NULL AND json_type(metadata) IS NOT 'object'",
  "an id that is none": "order_id GLOB '*[^A-Za-z0-9._:-]*' OR length(order_id) NOT BETWEEN 1 AND 64"
}

/** The migration since which there is what a check looks at. */
const migrationOf: Readonly<Record<string, number>> = { listings: 3, history: 6 }

/** The migration since which it is recorded how long each run took. */
const migrationOfTook = 4

/** The checks of what is in the tables of a file. One of an older version may not have them all. */
export const contentChecks = (
  reader: DatabaseReader,
  { isHeld, latest, now }: { readonly isHeld: boolean; readonly latest: number; readonly now: number }
) =>
  tableChecks(reader, {
    isHeld,
    now,
    rules,
    took: latest < migrationOfTook ? "finished_at - started_at" : tookOfRun,
    newest: Number.POSITIVE_INFINITY
  }).map(
    ([name, check]) =>
      [
        name,
        latest < (migrationOf[name] ?? 0) ? Effect.succeed(ok(name, "not kept by the version that wrote this")) : check
      ] as const
  )
