import migration0001 from "./migrations/0001_orders.ts"
import migration0002 from "./migrations/0002_nodes.ts"

/** Every migration, in order. A test compares this record with the folder. */
export const migrations = {
  "0001_orders": migration0001,
  "0002_nodes": migration0002
}
