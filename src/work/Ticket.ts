import type { Option } from "effect"
import type { RowKey } from "../order/OrderChange.ts"
import type { Job } from "../store/Job.ts"

/** An order that is due; and the job by which it was given to this node, if there are several. */
export interface Ticket {
  readonly key: RowKey
  readonly job: Option.Option<Job>
}
