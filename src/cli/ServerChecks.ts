import type { Examination } from "../store/server/Examination.ts"
import { portableRules, tookOfRun } from "./OrderChecks.ts"
import { tableChecks } from "./TableChecks.ts"
import type { Row } from "./TableQueries.ts"

/** The checks of what is in the tables of a database on a server. */
export const contentChecks = ({ isHeld, sql }: Examination, now: number) =>
  tableChecks(
    { rows: (query) => sql.unsafe<Row>(query) },
    { isHeld, now, rules: portableRules, took: tookOfRun, newest: 1_000_000 }
  )
