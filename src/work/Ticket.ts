import { Option } from "effect"
import type { RowKey } from "../order/OrderChange.ts"
import type { Job } from "../store/Job.ts"

/** An order that is due; and the job by which it was given to this node, if there are several. */
export interface Ticket {
  readonly key: RowKey
  readonly job: Option.Option<Job>
}

/** The order of a ticket, and which run of it a claim makes, if that is known. */
export const claimed = ({ job, key }: Ticket) => ({ key, run: Option.map(job, ({ run }) => run + 1) })
