import { type Exit, Option } from "effect"
import type { StorageUnavailable } from "../order/Order.ts"
import type { Command, Result } from "./Command.ts"

/** A command, and the caller that waits for its answer. */
export interface WaitingCommand {
  readonly command: Command
  readonly answer: (exit: Exit.Exit<Result, StorageUnavailable>) => void
  /** When the caller is answered that the storage is not available. */
  readonly deadline: number
  readonly weight: number
}

/** What may stand in line: beyond it the storage is so far behind that one more would only be answered too late. */
const maxCommands = 10_000
const maxWeight = 64 * 1024 * 1024
/**
 * What one transaction takes, unless its first command alone has more. A character that is escaped takes up to seven bytes
 * in a statement, which is to have less than the 16 MiB that a MariaDB takes.
 */
const maxBatchWeight = 2 * 1024 * 1024

/** About the bytes that a value from JSON takes in memory. */
const weightOf = (value: unknown): number => {
  if (typeof value === "string") return 24 + value.length
  if (typeof value !== "object" || value === null) return 8
  if (Array.isArray(value)) return value.reduce((sum: number, part) => sum + 8 + weightOf(part), 64)
  return Object.entries(value).reduce((sum, [name, part]) => sum + 8 + name.length + weightOf(part), 64)
}

const weigh = (command: Command) => {
  if (command._tag === "Insert") {
    return 256 + weightOf(command.order.item_ids) + weightOf(Option.getOrUndefined(command.order.metadata))
  }
  return command._tag === "Record" && command.outcome._tag === "Completed"
    ? 256 + weightOf(Option.getOrUndefined(command.outcome.result))
    : 256
}

/** The commands whose transaction has not begun, in the order they came. */
export const makeCommitLine = () => {
  let line: Array<WaitingCommand> = []
  let weight = 0

  const leave = (entries: ReadonlyArray<WaitingCommand>) => {
    for (const entry of entries) weight -= entry.weight
    return entries
  }

  return {
    length: () => line.length,
    /** Of many all or none have room; where nobody stands there is room for any. */
    hasRoomFor: (count: number) => line.length === 0 || (line.length + count <= maxCommands && weight < maxWeight),
    join: (command: Command, deadline: number, answer: WaitingCommand["answer"]): WaitingCommand => {
      const entry = { command, deadline, answer, weight: weigh(command) }
      weight += entry.weight
      line.push(entry)
      return entry
    },
    /** The first commands, `count` at most, and no more than one transaction is to take. */
    take: (count: number) => {
      let [taken, sum] = [0, 0]
      while (
        taken < Math.min(count, line.length) &&
        (taken === 0 || sum + (line[taken]?.weight ?? 0) <= maxBatchWeight)
      ) {
        sum += line[taken]?.weight ?? 0
        taken += 1
      }
      return leave(line.splice(0, taken))
    },
    dropOverdue: (now: number) => {
      leave(line.filter(({ deadline }) => deadline <= now))
      line = line.filter(({ deadline }) => deadline > now)
    }
  }
}
