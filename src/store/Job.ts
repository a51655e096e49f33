import { RowKey } from "../order/OrderChange.ts"
import type { Lane } from "./Command.ts"

/**
 * "Work on this order": what an engine hands to one node of several. There is one for each time that an order waits, which
 * its round and the number of its last run name. The order's row remains the truth: a job that does not fit it does nothing.
 */
export interface Job {
  readonly key: RowKey
  readonly round: number
  readonly run: number
  readonly lane: Lane
  /** How often it has been handed out before, to nodes that did not keep it. */
  readonly delivery: number
}

/** Seconds without a sign of a node after which its jobs are handed to others: the least that pg-boss takes. */
export const heartbeatSeconds = 10

const hexadecimal = (number: number, digits: number) => number.toString(16).padStart(digits, "0")

/** An id of 32 hexadecimal digits, as a UUID is written, made of three numbers: no id need be stored. */
export const jobId = ({ key, round, run }: Pick<Job, "key" | "round" | "run">) =>
  `${hexadecimal(key, 16)}${hexadecimal(round, 8)}${hexadecimal(run, 8)}`.replace(
    /^(.{8})(.{4})(.{4})(.{4})(.{12})$/,
    "$1-$2-$3-$4-$5"
  )

/** The numbers that an id was made of. */
export const ofJobId = (id: string) => {
  const digits = id.replaceAll("-", "")
  const number = (from: number, to: number) => Number.parseInt(digits.slice(from, to), 16)
  return { key: RowKey(number(0, 16)), round: number(16, 24), run: number(24, 32) }
}
