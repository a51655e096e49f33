import migration0001 from "./migrations/0001_orders.ts"

/** Every migration, in order. A test compares this record with the folder. */
export const migrations = {
  "0001_orders": migration0001
}
