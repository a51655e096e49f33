import { prunable, suspectLosses } from "../Command.ts"
import type { PartialIndex } from "./Dialect.ts"

/** What holds for the orders of an index. Spelled out, not bound, so that it is seen that the index fits. */
export const isOf: Readonly<Record<PartialIndex, string>> = {
  orders_pending: `status = 'Pending' AND losses < ${suspectLosses}`,
  orders_suspect: `status = 'Pending' AND losses >= ${suspectLosses}`,
  orders_failed_at: "status = 'Failed'",
  orders_prunable: `status IN (${prunable.map((status) => `'${status}'`).join(", ")})`
}
