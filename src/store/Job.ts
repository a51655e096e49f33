import type { RowKey } from "../order/OrderChange.ts"
import type { Lane } from "./Command.ts"

/**
 * "Work on this order": what an engine hands to one node of several. There is one for each time that an order waits, which
 * the number of its last run before that names. The order's row remains the truth: a job that does not fit it does nothing.
 */
export interface Job {
  readonly key: RowKey
  readonly run: number
  readonly lane: Lane
  /** How often it has been handed out before, to nodes that did not keep it. */
  readonly delivery: number
}

/** An id of 32 hexadecimal digits, as a UUID is written, made of two numbers: no id need be stored. */
export const jobId = ({ key, run }: Pick<Job, "key" | "run">) => {
  const digits = BigInt(key).toString(16).padStart(16, "0") + run.toString(16).padStart(16, "0")
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
}

/** The numbers that an id was made of. */
export const ofJobId = (id: string) => {
  const digits = id.replaceAll("-", "")
  return { key: Number.parseInt(digits.slice(0, 16), 16), run: Number.parseInt(digits.slice(16), 16) }
}
