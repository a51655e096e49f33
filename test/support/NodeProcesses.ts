import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { ConsumedChange } from "./CrashLoad.ts"
import type { Ledger } from "./Ledger.ts"
import { queryPostgres } from "./Postgres.ts"
import { startService } from "./ServiceProcess.ts"
import { temporaryFolder } from "./TestLayers.ts"

type Environment = Readonly<Record<string, string>>

/** Nodes in processes of their own, which share the database of that URL. */
export const makeNodes = (url: string, settings: Environment) =>
  Effect.map(temporaryFolder, (folder) => ({
    /** Starts one more, with settings of its own. */
    start: (own: Environment = {}) =>
      startService(folder, { QUEUE: "pg-boss", ...settings, ...own, DATABASE_URL: url }),
    query: (statement: string) => queryPostgres(url, statement),
    /** What the engine still has to hand out, or takes for handed out. */
    jobs: Effect.promise(async () => {
      const [row] = await queryPostgres(url, "SELECT current_schema() AS name")
      const schema = row?.name === "public" ? "pgboss" : `pgboss_${row?.name}`
      return queryPostgres(url, `SELECT id, state FROM ${schema}.job`)
    })
  }))

/** That somebody who read the changes at any node has seen what the database has, in its order. */
export const assertSameHistory = (
  consumed: ReadonlyArray<Pick<ConsumedChange, "id" | "run" | "to">>,
  { changes }: Ledger
) =>
  assert.deepStrictEqual(
    consumed.map(({ id, run, to }) => ({ id, run, to })),
    changes.map(({ id, run, to_status }) => ({ id, run, to: to_status }))
  )
