import migration0001 from "./migrations/0001_orders.ts"
import migration0002 from "./migrations/0002_rounds.ts"
import migration0003 from "./migrations/0003_listings.ts"
import migration0004 from "./migrations/0004_clocks.ts"
import migration0005 from "./migrations/0005_probe.ts"
import migration0006 from "./migrations/0006_changes.ts"

/** Every migration, in order. A test compares this record with the folder. */
export const migrations = {
  "0001_orders": migration0001,
  "0002_rounds": migration0002,
  "0003_listings": migration0003,
  "0004_clocks": migration0004,
  "0005_probe": migration0005,
  "0006_changes": migration0006
}

/** The number of the last migration. */
export const latestMigration = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name, 10)))
